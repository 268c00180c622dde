package chat_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
)

// watch begins to tell who is online, and is who says of whom that they came.
func (l *live) watch() (occupied func(user uint64, here bool)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	l.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
	})
	return func(user uint64, here bool) { l.Occupied(account.Inbox(user), here) }
}

// tells waits until somebody was told this of who is online, and no more.
func (l *live) tells(to uint64, e *ear, of uint64, online bool) {
	l.t.Helper()
	want := fmt.Sprintf("person.presence {\"user\":%d,\"online\":%t}\n", of, online)
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(e.text(), want); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("%s was told %q, not %q", names[to], e.text(), want)
		}
	}
	if got := l.hears(account.Inbox(to), e); got != want {
		l.t.Fatalf("%s was told %q, want %q", names[to], got, want)
	}
}

// Who blocks a friend goes, to them, and they to who blocks; and both come back
// with the block's end, if they are there.
func TestABlockEndsPresence(t *testing.T) {
	l := startLive(t)
	ctx := t.Context()
	l.befriend(ann, bob)
	l.befriend(ann, cat)
	anns, bobs, cats := l.join(account.Inbox(ann), 0), l.join(account.Inbox(bob), 0), l.join(account.Inbox(cat), 0)
	occupied := l.watch()
	occupied(ann, true)
	occupied(bob, true)
	l.tells(ann, anns, bob, true)
	l.tells(bob, bobs, ann, true)

	l.ok(l.Block(ctx, ann, bob))
	l.tells(ann, anns, bob, false)
	l.tells(bob, bobs, ann, false)
	l.ok(l.Block(ctx, bob, ann)) // there is nothing left to end
	l.ok(l.Unblock(ctx, ann, bob))
	l.ok(l.Unblock(ctx, bob, ann))
	l.tells(ann, anns, bob, true)
	l.tells(bob, bobs, ann, true)

	// Of who is not there, nothing is said: that they went is known.
	occupied(bob, false)
	l.tells(ann, anns, bob, false)
	l.ok(l.Block(ctx, bob, ann))
	l.tells(bob, bobs, ann, false)
	l.ok(l.Unblock(ctx, bob, ann))
	l.tells(bob, bobs, ann, true)

	// A friendship that ended meanwhile does not come back.
	l.ok(l.Block(ctx, bob, ann))
	l.tells(bob, bobs, ann, false)
	l.ok(l.Unfriend(ctx, bob, ann))
	l.ok(l.Unblock(ctx, bob, ann))
	occupied(cat, true)
	l.tells(ann, anns, cat, true) // and nothing of bob before it
	if got := l.hears(account.Inbox(bob), bobs) + l.hears(account.Inbox(cat), cats); got != "" {
		t.Fatalf("told %q", got)
	}
}

// Who has gone but a moment ago, and was not said to have, is said to have.
func TestABlockEndsThePresenceOfWhoJustWent(t *testing.T) {
	l := startLive(t)
	l.befriend(ann, bob)
	bobs := l.join(account.Inbox(bob), 0)
	l.Occupied(account.Inbox(bob), true)
	l.Occupied(account.Inbox(ann), true)
	l.Occupied(account.Inbox(ann), false)
	l.ok(l.Block(t.Context(), bob, ann))
	l.watch()
	l.tells(bob, bobs, ann, false)
}
