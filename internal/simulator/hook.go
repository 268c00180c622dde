package simulator

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// hookAddress is where webhooks are received.
const hookAddress = "10.9.0.1:80"

// hook receives the events of the instance: it answers well, badly, late or
// not at all.
type hook struct {
	*party
	ledger *ledger
	check  *standardwebhooks.Webhook

	mu   sync.Mutex
	done uint64           // guarded by mu: up to here everything was answered well
	came map[uint64]heard // guarded by mu
}

// populateHook receives what the ledger of events holds.
func (w *world) populateHook(l *ledger) {
	check, err := standardwebhooks.NewWebhook(w.template.cast.secret)
	if err != nil {
		w.fail(other, "the webhook's secret: %v", err)
		return
	}
	h := &hook{party: w.party("hook"), ledger: l, check: check, came: map[uint64]heard{}, done: pastSaid} // it was made then
	w.owed = append(w.owed, h.missing)
	w.audits = append(w.audits, h.audit)
	w.actors = append(w.actors, func() {
		in := w.lines.listen(hookAddress)
		server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			_ = server.Serve(in)
		}()
		<-w.over
		_ = server.Close()
		<-stopped
		in.sever()
	})
}

// ServeHTTP takes one try.
func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	h.mu.Lock()
	seq, fate := h.take(r, body), h.random.IntN(12)
	h.mu.Unlock()
	if h.w.isCalm() {
		fate = 11
	}
	switch fate {
	case 0, 1:
		w.WriteHeader(http.StatusInternalServerError)
		return
	case 2:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case 3: // no answer
		h.w.doze(20 * time.Second)
		panic(http.ErrAbortHandler)
	case 4: // taken, and the answer is lost
		panic(http.ErrAbortHandler)
	case 5, 6:
		h.w.doze(time.Second)
	}
	h.mu.Lock()
	h.done = max(h.done, seq)
	h.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// take looks at one try. Needs mu.
func (h *hook) take(r *http.Request, body []byte) uint64 {
	if err := h.check.Verify(body, r.Header); err != nil {
		h.w.fail(other, "a webhook's signature is not valid: %v", err)
	}
	f, got, err := read(body)
	id := r.Header.Get("Webhook-Id")
	switch before, again := h.came[got.seq]; {
	case err != nil || f.Event == "" || id != got.id:
		h.w.fail(other, "a webhook with the id %q holds %.200s", id, body)
	case again && (before.id != got.id || before.text != got.text):
		h.w.fail(inOrder, "the webhook got %q (%s) at %d, and %q (%s) before", got.text, got.id, got.seq, before.text, before.id)
	case got.seq > h.done+1:
		h.w.fail(inOrder, "the webhook got %d, and of what is before it only %d were answered well", got.seq, h.done)
	}
	h.w.trace.add("hook: %s at %d", got.text, got.seq)
	h.came[got.seq] = got
	return got.seq
}

func (h *hook) missing() (n int) {
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.ledger.said {
		if s.acked != 0 && s.seq > h.done {
			n++
		}
	}
	return n
}

// audit sees to it that what came is what is kept, and all of it.
func (h *hook) audit() {
	all, _, ok := h.ledger.truth()
	if !ok {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range all {
		switch got, came := h.came[m.seq]; {
		case m.seq <= pastSaid:
		case !came:
			h.w.fail(durable, "the webhook never got %q (%s at %d)", m.text, m.id, m.seq)
		case got.id != m.id || got.text != m.text:
			h.w.fail(durable, "the webhook got %q (%s) at %d, where %q (%s) is now", got.text, got.id, m.seq, m.text, m.id)
		}
	}
}

// populateBot has a process told things, each of which it makes an event.
func (w *world) populateBot() {
	c := &w.template.cast
	l := w.instance(botInstance, c.bot)
	s := w.speaker("asker", l)
	s.once = true
	s.connect = func(p *party) (*socket, error) {
		return p.upgrade(botPath, bearer(c.people[1].logins[speaks].token)...)
	}
	s.say = func(ref, text string) any { return map[string]string{"text": text, "$id": ref} }
	s.hear = func(b []byte) answer {
		var f struct {
			ID    string          `json:"$id"`
			Text  string          `json:"text"`
			Error json.RawMessage `json:"error"`
		}
		_ = json.Unmarshal(b, &f)
		switch {
		case f.ID == "":
			return answer{}
		case f.Error != nil:
			return answer{ref: f.ID, err: string(f.Error)}
		case f.Text != f.ID:
			w.fail(inOrder, "the process answered %q with %q", f.ID, f.Text)
		}
		return answer{ref: f.ID}
	}
}
