package e2e

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hooks receives webhooks, and says so.
type hooks struct {
	url  string
	came chan struct{} // one for each request
}

// reached waits for one request more.
func (h *hooks) reached(t *testing.T) {
	t.Helper()
	select {
	case <-h.came:
	case <-time.After(patience):
		t.Fatalf("%s was not called for %v", h.url, patience)
	}
}

// site serves by a handler as long as the test runs.
func site(t *testing.T, serve http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(serve)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// newHooks answers each request with a status, and sends it on to another URL
// where there is one.
func newHooks(t *testing.T, status int, to string) *hooks {
	t.Helper()
	h := &hooks{came: make(chan struct{}, 1000)}
	h.url = site(t, func(w http.ResponseWriter, _ *http.Request) {
		if to != "" {
			w.Header().Set("Location", to)
		}
		w.WriteHeader(status)
		h.came <- struct{}{}
	})
	return h
}

// huge answers with a gigabyte.
type huge struct {
	hooks

	taken atomic.Int64 // of the answer that most was taken of
}

func newHuge(t *testing.T) *huge {
	t.Helper()
	h := &huge{hooks: hooks{came: make(chan struct{}, 1000)}}
	h.url = site(t, func(w http.ResponseWriter, _ *http.Request) {
		h.came <- struct{}{}
		w.Header().Set("Content-Length", strconv.Itoa(1<<30))
		piece, taken := make([]byte, 64<<10), int64(0)
		for taken < 1<<30 {
			n, err := w.Write(piece)
			if taken += int64(n); err != nil {
				break
			}
		}
		for {
			if most := h.taken.Load(); taken <= most || h.taken.CompareAndSwap(most, taken) {
				return
			}
		}
	})
	return h
}

func (h *huge) most() int64 { return h.taken.Load() }

// slow answers a byte a second: it has not come to the end of its first header
// when everybody has lost patience.
type slow struct {
	hooks

	left atomic.Bool // the first who called has gone
}

func newSlow(t *testing.T) *slow {
	t.Helper()
	s := &slow{hooks: hooks{came: make(chan struct{}, 1000)}}
	s.url = onEach(t, func(c net.Conn, end <-chan struct{}) {
		s.came <- struct{}{}
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for _, b := range []byte("HTTP/1.1 200 OK\r\nX-Slow: " + strings.Repeat("z", 1000)) {
			if _, err := c.Write([]byte{b}); err != nil {
				break
			}
			select {
			case <-tick.C:
			case <-end:
				return
			}
		}
		s.left.Store(true)
	})
	return s
}

// over says whether the first who called has gone.
func (s *slow) over() bool { return s.left.Load() }

// trap is an address that nobody should call.
type trap struct {
	url   string
	calls atomic.Int64
}

func newTrap(t *testing.T) *trap {
	t.Helper()
	tr := &trap{}
	tr.url = onEach(t, func(net.Conn, <-chan struct{}) { tr.calls.Add(1) })
	return tr
}

func (tr *trap) untouched(t *testing.T) {
	t.Helper()
	if n := tr.calls.Load(); n > 0 {
		t.Errorf("%s was called %d times", tr.url, n)
	}
}

// touched waits until it was called, which shows that it would have been.
func (tr *trap) touched(t *testing.T) {
	t.Helper()
	eventually(t, tr.url+" should be called", func() error {
		if tr.calls.Load() == 0 {
			return errors.New("it was not")
		}
		return nil
	})
}

// newMute is a host that takes every connection, and never says a word.
func newMute(t *testing.T) *hooks {
	t.Helper()
	h := &hooks{came: make(chan struct{}, 1000)}
	h.url = onEach(t, func(_ net.Conn, end <-chan struct{}) {
		h.came <- struct{}{}
		<-end
	})
	return h
}

// onEach listens as long as the test runs, and does something with each
// connection until end is closed.
func onEach(t *testing.T, do func(c net.Conn, end <-chan struct{})) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	end := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				do(c, end)
			})
		}
	})
	t.Cleanup(func() {
		close(end)
		l.Close()
		all.Wait()
	})
	return "http://" + l.Addr().String()
}
