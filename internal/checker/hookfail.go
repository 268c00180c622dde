package checker

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"time"
)

// failing is how a hook fails: once in a while, and mostly once in a row,
// because each time the server waits longer before it tries again.
type failing struct {
	next  time.Time      // when it fails again
	row   int            // how often, since it took something
	tries map[string]int // by name of the failure
	must  int            // how it fails next, counted from 1, whatever its nature; 0 for nothing of that kind
}

// The waits of the server after one failure and after two, at most, and what
// the try itself may take.
const (
	heldOnce  = 10 * time.Second
	heldTwice = 25 * time.Second
)

// longRun is from how many kills on a hook takes the time to fail twice in a
// row, and to hang until the server has had enough.
const longRun = 10

// fail has all hooks fail the next time, in one way, that are well now. It
// returns how many these are.
func (w *webhooks) fail(n int) int {
	hit := 0
	for _, h := range w.hooks {
		h.mu.Lock()
		if h.row == 0 && h.must == 0 && !h.hurry.Load() {
			h.must = n + 1
			hit++
		}
		h.mu.Unlock()
	}
	return hit
}

// reaction is what a hook does about an event.
type reaction struct {
	fails  bool
	answer func(w http.ResponseWriter, r *http.Request)
}

func status(code int) reaction {
	return reaction{code >= 300, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }}
}

// failures are the ways to fail.
var failures = [...]struct {
	name string
	long bool // only in a long run
	make func(h *hook) reaction
}{
	{"answered 500", false, func(*hook) reaction { return status(http.StatusInternalServerError) }},
	{"answered 503", false, func(*hook) reaction {
		return reaction{true, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusServiceUnavailable)
		}}
	}},
	{"answered 429", false, func(*hook) reaction { return status(http.StatusTooManyRequests) }},
	{"answered 408", false, func(*hook) reaction { return status(http.StatusRequestTimeout) }},
	{"reset", false, func(*hook) reaction { return reaction{true, reset} }},
	{"hung and reset", false, func(h *hook) reaction {
		d := time.Duration(300+h.random.IntN(1500)) * time.Millisecond
		return reaction{true, func(w http.ResponseWriter, r *http.Request) {
			h.wait(r.Context(), d)
			reset(w, r)
		}}
	}},
	{"down", false, func(h *hook) reaction {
		s, d := h.server, time.Duration(500+h.random.IntN(2500))*time.Millisecond
		return reaction{true, func(w http.ResponseWriter, r *http.Request) {
			h.work.Go(func() { h.down(s, d) })
			reset(w, r)
		}}
	}},
	{"hung", true, func(h *hook) reaction {
		return reaction{true, func(w http.ResponseWriter, r *http.Request) {
			h.wait(r.Context(), heldTwice)
			reset(w, r)
		}}
	}},
}

// reset breaks a connection off.
func reset(w http.ResponseWriter, _ *http.Request) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // which does it, too
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// wait waits, but not for a peer that has gone, and not when all else is done.
func (h *hook) wait(ctx context.Context, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end) && !h.hurry.Load() && pause(ctx, 20*time.Millisecond); {
	}
}

// recover puts off the next failure. The caller holds mu, or is alone.
func (h *hook) recover(now time.Time) {
	h.row, h.next = 0, now.Add(time.Duration(200+h.random.IntN(1800))*time.Millisecond)
}

// react chooses what to do about an event. The caller holds mu.
func (h *hook) react(now time.Time) reaction {
	long := h.instance.o.Kills >= longRun
	fail := h.faulty && !h.hurry.Load() && now.After(h.next)
	switch {
	case h.row == 1:
		fail = fail && long && h.random.IntN(4) == 0
	case h.row > 1:
		fail = false
	}
	if h.must > 0 && h.row == 0 && !h.hurry.Load() {
		fail = true
	}
	if fail {
		n := pick(h.random, long)
		if h.must > 0 {
			n, h.must = h.must-1, 0
		}
		h.row++
		h.tries[failures[n].name]++
		return failures[n].make(h)
	}
	if h.row > 0 {
		h.recover(now)
	}
	if h.faulty && !h.hurry.Load() && h.random.IntN(200) == 0 { // slow is no failure
		d := time.Duration(h.random.IntN(300)) * time.Millisecond
		return reaction{false, func(w http.ResponseWriter, r *http.Request) {
			h.wait(r.Context(), d)
			w.WriteHeader(http.StatusAccepted)
		}}
	}
	return status([]int{http.StatusOK, http.StatusNoContent}[h.random.IntN(2)])
}

func pick(random *rand.Rand, long bool) int {
	for {
		if n := random.IntN(len(failures)); long || !failures[n].long {
			return n
		}
	}
}

// held is how much longer than others the hook may miss something.
func (h *hook) held() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return []time.Duration{0, heldOnce, heldTwice}[min(h.row, 2)]
}

// tally says how it failed.
func (h *hook) tally() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	text := fmt.Sprintf("%s was told %d events", h.instance.name, len(h.told))
	for _, name := range slices.Sorted(maps.Keys(h.tries)) {
		text += fmt.Sprintf(", %d× %s", h.tries[name], name)
	}
	return text + fmt.Sprintf("; %d came again after they were taken", h.again)
}
