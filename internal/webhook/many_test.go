package webhook_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/webhook"
)

// crowd is a receiver of many endpoints: each has a path of its own.
type crowd struct {
	*httptest.Server
	hang chan struct{} // static; until it is closed, paths below /dead/ do not answer

	mu   sync.Mutex
	last map[string]uint64 // guarded by mu: the newest number of each path
	bad  []string          // guarded by mu: what was out of order
	n    int               // guarded by mu
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{hang: make(chan struct{}), last: map[string]uint64{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if r.URL.Path[:6] == "/dead/" {
			select {
			case <-c.hang:
			case <-r.Context().Done():
				return
			}
		}
		e := parse(body)
		c.mu.Lock()
		defer c.mu.Unlock()
		if e.Seq != c.last[r.URL.Path]+1 {
			c.bad = append(c.bad, fmt.Sprintf("%s: %d after %d", r.URL.Path, e.Seq, c.last[r.URL.Path]))
		}
		c.last[r.URL.Path] = e.Seq
		c.n++
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// TestManyEndpoints has many endpoints, and some that never answer: all others
// get everything while those hang, in order; each costs a goroutine, and its
// deliveries next to no statements.
func TestManyEndpoints(t *testing.T) {
	endpoints, dead, events := 400, 20, 3
	if n, err := strconv.Atoi(os.Getenv("KABAR_ENDPOINTS")); err == nil { // for measuring by hand
		endpoints, dead = n, n/40
	}
	c := newCrowd(t)
	w := start(t, t.TempDir(), webhook.Options{Sender: loopback(t), Attempt: time.Hour})
	before := runtime.NumGoroutine()
	perInstance := 20
	for n := range endpoints / perInstance {
		ref, _ := w.create(fmt.Sprint("i", n))
		for k := range perInstance {
			path := fmt.Sprintf("/live/%d/%d", n, k)
			if k == 0 && n < dead {
				path = fmt.Sprintf("/dead/%d", n)
			}
			w.add(ref, webhook.Changes{URL: to(c.URL + path)})
		}
	}
	w.until("each has a goroutine", func() bool { return runtime.NumGoroutine() >= before+endpoints })
	idle := runtime.NumGoroutine() - before
	if idle > endpoints+50 {
		t.Errorf("%d endpoints that wait have %d goroutines", endpoints, idle)
	}
	written, read := w.store.Statements()
	began := time.Now()
	for n := range endpoints / perInstance {
		w.emit(instance.ByName(fmt.Sprint("i", n)), 1, events)
	}
	dead = min(dead, endpoints/perInstance)
	want := (endpoints - dead) * events
	w.until("all that answer have everything", func() bool { return c.count() >= want })
	took := time.Since(began)
	w1, r1 := w.store.Statements()
	var mem runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&mem)
	t.Logf("%d endpoints, %d of them hanging: %d deliveries in %v (%.0f/s), %d statements written and %d read, %d goroutines, heap %d MB",
		endpoints, dead, want, took, float64(want)/took.Seconds(), w1-written, r1-read, runtime.NumGoroutine()-before, mem.HeapAlloc>>20)
	c.mu.Lock()
	if c.n != want || len(c.bad) > 0 {
		t.Errorf("%d came, not %d: %v", c.n, want, c.bad)
	}
	c.mu.Unlock()
	if n := (w1 - written) + (r1 - read); n > uint64(want) {
		t.Errorf("%d statements for %d deliveries", n, want)
	}
	close(c.hang)
	w.until("those that hung have everything", func() bool { return c.count() == endpoints*events })
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.bad) > 0 {
		t.Error(c.bad)
	}
}
