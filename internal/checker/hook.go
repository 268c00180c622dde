package checker

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// hook is the receiver of a webhook. It takes the rules of Standard Webhooks
// seriously, and itself fails now and then in every way that a receiver can but
// those that park an event or switch the webhook off.
type hook struct {
	// static
	*receiver
	instance *emitter
	faulty   bool
	address  string
	key      []byte // of the signatures; set before anything is told
	random   *rand.Rand

	work sync.WaitGroup // handlers, and the one that ends a downtime

	rec *record // static; its receiver's part is guarded by mu

	mu       sync.Mutex
	server   *http.Server       // guarded by mu; the newest, which may be closed
	closed   bool               // guarded by mu
	told     map[uint64]telling // guarded by mu; by seq
	progress                    // guarded by mu
	failing                     // guarded by mu
}

// telling is what was told under a number.
type telling struct {
	id    string
	sum   [sha256.Size]byte // of the body
	taken time.Time         // when it was answered 2xx, zero before
}

// progress is what may be told next.
type progress struct {
	cur    uint64 // what was told last
	failed bool   // and it was not taken: it must come again
	life   int    // of the server, when something last came again for a kill's sake
	floor  uint64 // up to here what was taken is kept by the server, whatever happens
	again  int    // how often something taken came again
}

func newHook(ctx context.Context, e *emitter, faulty bool) (*hook, error) {
	rec := e.ledger.record("the webhook of instance "+e.name, e.topic())
	h := &hook{instance: e, faulty: faulty, rec: rec, random: e.kit.random(), told: map[uint64]telling{}}
	h.tries = map[string]int{}
	h.life = e.life()
	h.recover(time.Now())
	h.receiver = e.receiver(rec, manner{}, func(context.Context) (source, error) { return idle{}, nil })
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h.address = l.Addr().String()
	h.serve(l)
	return h, nil
}

// idle is the source of a receiver that is told things another way.
type idle struct{}

func (idle) next(ctx context.Context) (frame, error) {
	<-ctx.Done()
	return frame{}, ctx.Err()
}

func (idle) close() {}

func (h *hook) url() string { return "http://" + h.address + "/hook" }

// serve answers on a listener until the hook goes down.
func (h *hook) serve(l net.Listener) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: answerTime, ErrorLog: log.New(io.Discard, "", 0)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		_ = l.Close()
		return
	}
	h.server = s
	h.work.Go(func() { _ = s.Serve(l) })
}

// down makes the hook unreachable for a while.
func (h *hook) down(s *http.Server, d time.Duration) {
	_ = s.Close()
	for time.Sleep(d); ; time.Sleep(20 * time.Millisecond) {
		l, err := net.Listen("tcp", h.address) //nolint:noctx // it waits for nothing
		if err == nil {
			h.serve(l)
			return
		}
		h.mu.Lock()
		closed := h.closed
		h.mu.Unlock()
		if closed {
			return
		}
	}
}

func (h *hook) close() {
	h.mu.Lock()
	h.closed = true
	if h.server != nil {
		_ = h.server.Close()
	}
	h.mu.Unlock()
	h.work.Wait()
}

// ServeHTTP is told an event.
func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	h.work.Add(1)
	h.mu.Unlock()
	defer h.work.Done()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // whoever was telling was killed
	}
	f, err := h.check(r, body)
	if err != nil {
		h.rec.ledger.found.add(Other, "%s was told what it cannot take: %v", h.rec.name, err)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	h.hear(f, r.Header.Get("webhook-id"), body).answer(w, r)
}

// check says whether a request is what the contract says it is.
func (h *hook) check(r *http.Request, body []byte) (frame, error) {
	f, err := h.instance.decode(body)
	if err != nil {
		return f, err
	}
	id, stamp := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	switch {
	case r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		return f, fmt.Errorf("not a POST of JSON: %s %s", r.Method, r.Header.Get("Content-Type"))
	case !strings.HasPrefix(r.Header.Get("User-Agent"), "Kabar-Webhook/") || r.Header.Get("Resource-Owner") == "":
		return f, fmt.Errorf("User-Agent is %q, Resource-Owner %q", r.Header.Get("User-Agent"), r.Header.Get("Resource-Owner"))
	case id != f.id || f.seq == 0:
		return f, fmt.Errorf("webhook-id is %q, the event's id %q, its seq %d", id, f.id, f.seq)
	case err != nil || !h.instance.clock.said(time.Unix(seconds, 0)):
		return f, fmt.Errorf("webhook-timestamp is %q", stamp)
	case !signed(h.key, r.Header.Get("webhook-signature"), id+"."+stamp+".", body):
		return f, errors.New("webhook-signature is not of the secret")
	}
	return f, nil
}

// webhookKey is the key that a secret names.
func webhookKey(secret string) ([]byte, error) {
	text, ok := strings.CutPrefix(secret, "whsec_")
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < 24 {
		return nil, &refused{what: "a webhook was made without a secret of whsec_ and base64"}
	}
	return key, nil
}

// signed says whether one of the signatures is of the key.
func signed(key []byte, signatures, prefix string, body []byte) bool {
	m := hmac.New(sha256.New, key)
	_, _ = m.Write([]byte(prefix))
	_, _ = m.Write(body)
	want := "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
	for have := range strings.FieldsSeq(signatures) {
		if hmac.Equal([]byte(have), []byte(want)) {
			return true
		}
	}
	return false
}

// hear accounts for an event, and says how it is answered.
func (h *hook) hear(f frame, id string, body []byte) reaction {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.order(f)
	h.cur = f.seq
	sum := sha256.Sum256(body)
	t, known := h.told[f.seq]
	if known && (t.id != id || t.sum != sum) {
		h.rec.ledger.found.add(Other, "%s was told seq %d again, with another id or body: %s and %s", h.rec.name, f.seq, t.id, id)
	}
	if !t.taken.IsZero() {
		h.again++
	}
	re := h.react(time.Now())
	if h.failed = re.fails; !h.failed {
		if t.taken.IsZero() {
			h.rec.take(f)
		}
		t.taken = h.instance.now()
	}
	t.id, t.sum = id, sum
	h.told[f.seq] = t
	return re
}

// order judges whether it is an event's turn. After a kill what was taken may
// come again from where the server knows that it was; else only what was not
// taken comes again, and that before all others.
func (h *hook) order(f frame) {
	found := h.rec.ledger.found
	due := h.cur + 1
	if h.failed {
		due = h.cur
	}
	filtered := h.rec.only != nil
	switch life := h.instance.life(); {
	case f.seq == due || f.seq > due && filtered && !h.failed:
		h.kept(f.seq)
	case f.seq > due:
		found.add(Lost, "%s was told %d when %d was due", h.rec.name, f.seq, due)
	case life == h.life:
		found.add(Doubled, "%s was told %d again, which it had taken, when %d was due", h.rec.name, f.seq, due)
	default:
		h.life = life
		if f.seq <= h.floor {
			found.add(Doubled, "%s was told %d again, which it had taken long ago (up to %d)", h.rec.name, f.seq, h.floor)
		}
	}
}

// kept moves the floor: what was taken, and in the same life of the server some
// time went by until something else came in its turn, is kept there; so is what
// an earlier life had taken and a later one did not tell again.
func (h *hook) kept(seq uint64) {
	for n := h.floor + 1; n < seq; n++ {
		t, known := h.told[n]
		if known && (t.taken.IsZero() || h.instance.now().Sub(t.taken) < keptAfter*pingEvery) {
			return
		}
		if known {
			h.floor = n
		}
	}
}

// settle says that the server was stopped in peace: it knows all that was taken.
func (h *hook) settle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for seq, t := range h.told {
		if !t.taken.IsZero() && !h.failed {
			h.floor = max(h.floor, seq)
		}
	}
}
