package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/kabar-io/kabar/internal/ws"
)

// Within is an upgrade's context, which ends after a time, or with End. Most
// upgrades wait for nothing: there is no timer before somebody asks for Done,
// which is what everything does that is going to wait. Whoever reads the
// connection is told then, too (see ws.Request.Blocking), so the first to wait
// is the Acceptor itself.
type Within struct {
	context.Context             //nolint:containedctx // static: it is one
	r               *ws.Request // static
	until           time.Time   // static

	mu    sync.Mutex
	timed context.Context    //nolint:containedctx // guarded by mu: nil until it is waited for
	stop  context.CancelFunc // guarded by mu
}

// NewWithin makes the context of an upgrade. It ends after d, and with parent.
func NewWithin(parent context.Context, r *ws.Request, d time.Duration) *Within {
	return &Within{Context: parent, r: r, until: time.Now().Add(d)}
}

// Deadline is when it ends.
func (w *Within) Deadline() (time.Time, bool) {
	if t, ok := w.Context.Deadline(); ok && t.Before(w.until) {
		return t, true
	}
	return w.until, true
}

// Done is closed when it has ended.
func (w *Within) Done() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timed == nil {
		w.timed, w.stop = context.WithDeadline(w.Context, w.until)
		w.r.Blocking()
	}
	return w.timed.Done()
}

// Err is why it has ended, nil before.
func (w *Within) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timed != nil {
		return w.timed.Err()
	}
	if err := w.Context.Err(); err != nil {
		return err
	}
	if !time.Now().Before(w.until) {
		return context.DeadlineExceeded
	}
	return nil
}

// End is called when nobody needs it any more.
func (w *Within) End() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop != nil {
		w.stop()
	}
}
