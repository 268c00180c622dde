package chat_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
)

// clock is one that is set.
type clock struct{ at atomic.Int64 }

func (c *clock) set(at time.Time) { c.at.Store(at.UnixMilli()) }
func (c *clock) now() time.Time   { return time.UnixMilli(c.at.Load()) }

// seenAt waits until somebody was last seen at a time.
func (w *world) seenAt(user uint64, want time.Time) {
	w.t.Helper()
	var at time.Time
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		var err error
		at, err = w.LastSeen(w.t.Context(), user)
		w.ok(err)
		if at.Equal(want) {
			return
		}
	}
	w.t.Fatalf("%s was last seen at %v, not %v", names[user], at, want)
}

// runs lets the service run until stop.
func runs(w *world, s *chat.Service) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		w.t.Helper()
		cancel()
		w.ok(<-done)
	}
}

// Who went was last seen then; who is here when the server stops, then; and who
// is here when it is killed, when it last kept that it runs, whatever the ones
// after it keep.
func TestLastSeen(t *testing.T) {
	var first, second clock
	day := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	at := func(hour int) time.Time { return day.Add(time.Duration(hour) * time.Hour) }
	first.set(at(1))
	w := start(t, func(o *chat.Options) { o.Now = first.now })
	w.SetBeat(time.Millisecond)
	stop := runs(w, w.Service)
	for _, user := range []uint64{ann, bob} {
		if at, err := w.LastSeen(t.Context(), user); err != nil || !at.IsZero() {
			t.Errorf("%s, who never was here, was at %v, %v", names[user], at, err)
		}
		w.Occupied(account.Inbox(user), true)
		w.seenAt(user, at(1))
	}
	first.set(at(2))
	w.Occupied(account.Inbox(bob), false)
	w.seenAt(bob, at(2))
	first.set(at(3))
	w.seenAt(ann, at(3)) // the server runs, and she is here
	w.seenAt(bob, at(2))

	// The first server stands still here, as if it had been killed.
	second.set(at(5))
	next, err := chat.New(chat.Options{Journal: w.journal, Store: w.chats, Now: second.now})
	w.ok(err)
	next.SetBeat(time.Millisecond)
	stopNext := runs(w, next)
	next.Occupied(account.Inbox(cat), true)
	w.seenAt(cat, at(5))
	second.set(at(6))
	w.seenAt(cat, at(6))
	w.seenAt(ann, at(3))
	next.Occupied(account.Inbox(ann), true)
	w.seenAt(ann, at(6))
	second.set(at(7))
	w.seenAt(ann, at(7))
	stopNext()
	first.set(at(8)) // what runs no more says nothing of them
	w.Occupied(account.Inbox(bob), true)
	w.seenAt(bob, at(8))
	w.seenAt(ann, at(7))
	w.seenAt(cat, at(7))
	w.Occupied(account.Inbox(ann), true)
	w.seenAt(ann, at(8))
	first.set(at(9))
	stop()
	w.seenAt(ann, at(9))
	w.seenAt(bob, at(9))
}
