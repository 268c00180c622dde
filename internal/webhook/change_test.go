package webhook_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/webhook"
)

// counting is a receiver that counts what it is told.
func counting(t *testing.T) (string, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n.Add(1)
	}))
	t.Cleanup(s.Close)
	return s.URL, &n
}

// TestProtocolChangeIsAHold has a receiver answer with 101 and keep the
// connection: it is as one that is down, others are told, and the server stops.
func TestProtocolChangeIsAHold(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
	}))
	defer s.Close()
	w := start(t, t.TempDir(), webhook.Options{Sender: loopback(t)})
	bad, _ := w.create("bad")
	w.set(bad, s.URL)
	w.emit(bad, 1, 1)
	w.until("a hold", func() bool { return !w.find(bad).Hold.Since.IsZero() })
	if words := w.find(bad).Error; !strings.Contains(words, "101") {
		t.Errorf("its owner reads %q", words)
	}
	w.stop()
}

// held is a Sender that one URL holds until it is let go, whatever its caller's
// context says; all others go out.
type held struct {
	webhook.Sender
	url string
	in  chan struct{} // static; closed when it is held
	let chan struct{} // static
}

func (h *held) Post(ctx context.Context, r webhook.Request) (webhook.Answer, error) {
	if r.URL != h.url {
		return h.Sender.Post(ctx, r)
	}
	close(h.in)
	<-h.let
	return webhook.Answer{}, errors.New("too late")
}

// TestSlowToEnd has a worker that does not end when it is told to: the changes
// of other webhooks take effect meanwhile, and its own once it has ended.
func TestSlowToEnd(t *testing.T) {
	h := &held{Sender: loopback(t), url: "http://127.0.0.1:1/held", in: make(chan struct{}), let: make(chan struct{})}
	w := start(t, t.TempDir(), webhook.Options{Sender: h})
	bad, _ := w.create("bad")
	good, _ := w.create("good")
	w.set(bad, h.url)
	w.emit(bad, 1, 1)
	<-h.in
	changed, again := counting(t)
	w.set(bad, changed)
	url, n := counting(t)
	w.set(good, url)
	w.emit(good, 1, 3)
	w.until("the other one is told", func() bool { return n.Load() == 3 })
	if again.Load() != 0 {
		t.Error("two workers told one webhook's events")
	}
	close(h.let)
	w.until("it is told where it is now", func() bool { return again.Load() == 1 })
}

// stall keeps the journal busy until the result is called.
func (w *world) stall() (goOn func()) {
	w.t.Helper()
	in, out := make(chan struct{}), make(chan struct{})
	p := w.journal.Do(journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
		close(in)
		<-out
		return nil, nil
	}))
	<-in
	return func() {
		close(out)
		_, err := p.Wait(bg)
		w.ok(err)
	}
}

// TestCallerGoesAway has who changes a webhook go before that is stored: what is
// stored is what is done, all the same.
func TestCallerGoesAway(t *testing.T) {
	w := start(t, t.TempDir(), webhook.Options{Sender: loopback(t)})
	ref, _ := w.create("north")
	before, old := counting(t)
	after, now := counting(t)
	hook, secret := w.set(ref, before)
	w.emit(ref, 1, 1)
	w.until("the first is told", func() bool { return old.Load() == 1 })
	// away does something whose caller goes once it waits for the journal, again
	// and again until it was stored.
	away := func(what string, f func(ctx context.Context), stored func() bool) {
		t.Helper()
		w.until(what, func() bool {
			goOn := w.stall()
			ctx, cancel := context.WithCancel(bg)
			done := make(chan struct{})
			go func() {
				defer close(done)
				f(ctx)
			}()
			time.Sleep(100 * time.Millisecond)
			cancel()
			time.Sleep(50 * time.Millisecond)
			goOn()
			<-done
			return stored()
		})
	}
	away("it is set", func(ctx context.Context) {
		_, _, _ = w.Set(ctx, ref, webhook.Spec{URL: after, Enabled: true})
	}, func() bool { return w.find(ref).URL == after })
	w.emit(ref, 2, 4)
	w.until("it is told where it is now", func() bool { return now.Load() == 3 })
	var rotated string
	away("there is a secret", func(ctx context.Context) {
		made, _ := w.Rotate(ctx, noToken, hook.ID, webhook.Overlap, "")
		rotated = made.Secret
	}, func() bool { return rotated != "" })
	if rotated == secret {
		t.Error("it is the old one")
	}
	w.emit(ref, 5, 5)
	w.until("it is told after its secret is another", func() bool { return now.Load() == 4 })
	if old.Load() != 1 {
		t.Errorf("the old address was told %d", old.Load())
	}
	// Who goes before anything was handed over changes nothing.
	gone, cancel := context.WithCancel(bg)
	cancel()
	_, err := w.Rotate(gone, noToken, hook.ID, 0, "")
	w.refused(err, context.Canceled)
}

// TestNewerRowStartsAnew has a row change under its worker with nobody saying
// so: the worker ends by itself, and another goes on.
func TestNewerRowStartsAnew(t *testing.T) {
	w := start(t, t.TempDir(), webhook.Options{Sender: loopback(t)})
	ref, _ := w.create("north")
	var mode atomic.Int64
	mode.Store(http.StatusServiceUnavailable)
	var n atomic.Int64
	in := make(chan struct{}, 10)
	out := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if code := int(mode.Swap(http.StatusOK)); code != http.StatusOK {
			in <- struct{}{}
			<-out
			rw.WriteHeader(code)
			return
		}
		n.Add(1)
	}))
	defer s.Close()
	hook, _ := w.set(ref, s.URL)
	w.emit(ref, 1, 1)
	<-in
	w.ok(w.Bump(bg, hook.ID))
	close(out) // the worker wants to note a hold, and finds another version
	w.until("another worker tells it", func() bool { return n.Load() == 1 })
}
