package checker

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// asked is another host that a process calls. It takes its time, so that what
// the process has before it is not done in a moment, and sees to it that the
// call of one event is the same call however often it is made.
type asked struct {
	found  *findings
	server *http.Server
	served chan struct{} // closed when no more connections are taken
	url    string
	key    []byte // of the signatures; set before anything is asked

	mu     sync.Mutex
	random *rand.Rand        // guarded by mu
	calls  map[string]string // guarded by mu; by id: the body
	again  int               // guarded by mu: how often a call was made again
}

func newAsked(ctx context.Context, found *findings, random *rand.Rand) (*asked, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &asked{found: found, url: "http://" + l.Addr().String() + "/ask", random: random, calls: map[string]string{}, served: make(chan struct{})}
	a.server = &http.Server{Handler: a, ReadHeaderTimeout: answerTime, ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		defer close(a.served)
		_ = a.server.Serve(l)
	}()
	return a, nil
}

func (a *asked) close() {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	_ = errors.Join(a.server.Shutdown(ctx), a.server.Close())
	<-a.served
}

// ServeHTTP answers a text with the text.
func (a *asked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // whoever was asking was killed
	}
	var in struct{ Text string }
	id := r.Header.Get("webhook-id")
	prefix := id + "." + r.Header.Get("webhook-timestamp") + "."
	if json.Unmarshal(body, &in) != nil || id == "" || !signed(a.key, r.Header.Get("webhook-signature"), prefix, body) {
		a.found.add(Other, "a call of a process cannot be taken: id %q, body %.200q", id, body)
	}
	a.mu.Lock()
	if before, known := a.calls[id]; known && before != string(body) {
		a.found.add(Other, "the call %s asked %.100q, and then %.100q", id, before, body)
	} else if known {
		a.again++
	}
	a.calls[id] = string(body)
	d := time.Duration(a.random.IntN(8000)) * time.Microsecond
	a.mu.Unlock()
	if pause(r.Context(), d) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // which is the text as JSON
	}
}

// tally says how often it was asked.
func (a *asked) tally() (calls, again int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.calls), a.again
}
