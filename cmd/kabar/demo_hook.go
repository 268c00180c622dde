package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/sign"
)

const (
	hookPath = "/demo/webhook"
	hookMost = 50        // events shown
	hookBody = 256 << 10 // bytes of an event
)

// demoHook is a receiver of webhooks inside the demo: it checks each signature
// as any receiver should, and shows what it got.
type demoHook struct {
	parts gateway.Parts // static

	mu     sync.Mutex
	secret string          // guarded by mu; "" until the webhook is set
	got    []hookEvent     // guarded by mu; the newest first
	seen   map[string]bool // guarded by mu; ids of those in got
}

// hookEvent is one request that came in.
type hookEvent struct {
	ID       string          `json:"id"`
	Time     time.Time       `json:"time"` // when it came
	Verified bool            `json:"verified"`
	Why      string          `json:"why,omitempty"`   // it was not
	Again    bool            `json:"again,omitempty"` // the id came before
	Body     json.RawMessage `json:"body"`
}

func newDemoHook(parts gateway.Parts) *demoHook {
	return &demoHook{parts: parts, seen: map[string]bool{}}
}

// open says with which secret the events are signed from now on.
func (h *demoHook) open(secret string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.secret = secret
}

// receive is POST /demo/webhook: 204, or 401 for a signature that is not ours.
func (h *demoHook) receive(w http.ResponseWriter, r *http.Request) error {
	body, err := gateway.ReadBody(w, r, hookBody)
	if err != nil {
		return err
	}
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	e := hookEvent{ID: r.Header.Get(sign.HeaderID), Time: now.UTC(), Verified: true, Body: body}
	if err := sign.Verify(h.secret, r.Header.Get, body, now); err != nil {
		e.Verified, e.Why = false, strings.TrimPrefix(err.Error(), "sign: ")
	}
	if !json.Valid(body) {
		e.Body = gateway.AppendString(nil, string(body))
	}
	e.Again = e.Verified && h.seen[e.ID]
	h.keep(e)
	if !e.Verified {
		gateway.WriteJSON(w, http.StatusUnauthorized, map[string]string{"error": e.Why})
		return nil
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// keep puts an event before the others. It needs mu.
func (h *demoHook) keep(e hookEvent) {
	if len(h.got) >= hookMost {
		delete(h.seen, h.got[hookMost-1].ID)
		h.got = h.got[:hookMost-1]
	}
	h.got = slices.Insert(h.got, 0, e)
	if e.Verified {
		h.seen[e.ID] = true
	}
}

// show is GET /demo/webhook: a page, or for Accept: application/json
// {received:[{id, time, verified, why?, again?, body}]}, the newest first.
func (h *demoHook) show(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Vary", "Accept")
	if accept := r.Header.Get("Accept"); !strings.Contains(accept, "json") {
		h.parts.Serve(w, r, "webhook.html")
		return nil
	}
	h.mu.Lock()
	got := slices.Clone(h.got)
	h.mu.Unlock()
	if got == nil {
		got = []hookEvent{}
	}
	gateway.WriteJSON(w, http.StatusOK, map[string][]hookEvent{"received": got})
	return nil
}
