package personal_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
)

// TestErasedThoughNobodyWaits erases for somebody who has hung up: it is done
// all the same, and not only after the next start.
func TestErasedThoughNobodyWaits(t *testing.T) {
	w := open(t)
	zofia := w.register("zofia")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.ok(w.service.Run(ctx)) })
	defer wg.Wait()
	defer cancel()
	gone, hangUp := context.WithCancel(ctx)
	hangUp()
	if _, err := w.service.Erase(gone, zofia); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		e, ok, err := w.service.Erasure(ctx, zofia)
		w.ok(err)
		if ok && !e.Ended.IsZero() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("never erased: %+v", e)
		}
	}
}

// TestNothingComesAfter has what was on its way for somebody come when they are
// erased already: a line that their socket took, a notice, a group, a badge.
func TestNothingComesAfter(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	l := w.live()
	_, err := w.service.Erase(ctx, l.zofia)
	w.ok(err)
	w.until(l.zofia)
	_, err = w.chats.Speak(chat.Speaker{User: l.zofia, Name: "Zofia Quartz"}, "a-line-secret", journal.Key{}).Wait(ctx)
	if !errors.Is(err, account.ErrSuspended) {
		t.Errorf("a line: %v", err)
	}
	if _, err := w.accounts.Notify(l.zofia, "dear Zofia Quartz", journal.Key{}).Wait(ctx); !errors.Is(err, account.ErrUserNotFound) {
		t.Errorf("a notice: %v", err)
	}
	if err := w.accounts.AddToGroup(ctx, "testers", l.zofia); !errors.Is(err, account.ErrUserNotFound) {
		t.Errorf("a group: %v", err)
	}
	if _, err := w.accounts.SetBadges(ctx, l.zofia, []int{1}); !errors.Is(err, account.ErrUserNotFound) {
		t.Errorf("a badge: %v", err)
	}
	if found := w.holds(secrets...); len(found) > 0 {
		t.Errorf("there again: %q", found)
	}
}
