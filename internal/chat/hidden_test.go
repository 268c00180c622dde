package chat_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
)

// People of whom one blocks the other do not hear each other: each test here
// has two of them, and runs with either as the one who blocks.
func eachBlock(t *testing.T, f func(t *testing.T, l *live, block func(a, b uint64))) {
	t.Helper()
	t.Run("one way", func(t *testing.T) {
		l := startLive(t)
		f(t, l, func(a, b uint64) { l.ok(l.Block(t.Context(), a, b)) })
	})
	t.Run("the other", func(t *testing.T) {
		l := startLive(t)
		f(t, l, func(a, b uint64) { l.ok(l.Block(t.Context(), b, a)) })
	})
}

func TestNothingPassesABlock(t *testing.T) {
	l := startLive(t)
	ctx := t.Context()
	l.befriend(ann, bob)
	wait := func(p *journal.Pending) error {
		_, err := p.Wait(ctx)
		return err
	}
	mine := map[uint64]*journal.Message{ann: l.said(chat.Place{User: bob}, ann, "from ann")}
	mine[bob] = l.said(chat.Place{User: ann}, bob, "from bob")
	l.ok(l.Block(ctx, ann, bob))
	ears := map[uint64]*ear{ann: l.join(account.Inbox(ann), 0), bob: l.join(account.Inbox(bob), 0)}
	heads := func() [3]uint64 {
		return [3]uint64{l.head(account.Inbox(ann)), l.head(account.Inbox(bob)), l.head(chat.RoomTopic(5))}
	}
	was := heads()
	for me, want := range map[uint64]error{ann: chat.ErrBlocking, bob: chat.ErrBlocked} {
		other := ann + bob - me
		p, payload := chat.Place{User: other}, json.RawMessage(`1`)
		out := chat.RelayOut{From: me, Place: p, Payload: payload}
		for name, act := range map[string]func() error{
			"message": func() error { return l.send(me, other, "x") },
			"reply": func() error {
				return wait(l.Send(chat.Outgoing{From: me, To: other, Text: "x", Reply: mine[other].ID}, journal.Key{}))
			},
			"edit":     func() error { _, err := l.Edit(ctx, me, p, mine[me].ID, "x", 0); return err },
			"delete":   func() error { _, err := l.Delete(ctx, me, p, mine[me].ID, 0); return err },
			"clear":    func() error { return l.Clear(ctx, me, p, 0) },
			"read":     func() error { return wait(l.ReadAll(me, p, 0, journal.Key{})) },
			"read to":  func() error { return wait(l.ReadTo(me, p, mine[other].ID, 0, journal.Key{})) },
			"typing":   func() error { return l.Typing(ctx, me, p, 0) },
			"signal":   func() error { return l.Signal(ctx, me, other, payload, 0, nil) },
			"relay":    func() error { return wait(l.Relay(out, journal.Key{})) },
			"volatile": func() error { return l.RelayVolatile(ctx, out) },
		} {
			if err := act(); !errors.Is(err, want) {
				t.Errorf("%s by %s: %v", name, names[me], err)
			}
		}
	}
	if heads() != was || l.hears(account.Inbox(ann), ears[ann])+l.hears(account.Inbox(bob), ears[bob]) != "" {
		t.Fatal("something passed")
	}
	l.history(bob, chat.Place{User: ann}, "from bob from ann")
}

func TestAGroupWithABlock(t *testing.T) {
	eachBlock(t, func(t *testing.T, l *live, block func(a, b uint64)) { //nolint:thelper // the test itself
		ctx := t.Context()
		g := l.group(bob, ann, cat, dan)
		p := chat.Place{Group: g.ID}
		block(bob, cat)
		one, two := l.said(p, bob, "one"), l.said(p, bob, "two")
		out := chat.RelayOut{From: bob, Place: p, Payload: json.RawMessage(`1`)}
		wait := func(p *journal.Pending) error {
			_, err := p.Wait(ctx)
			return err
		}
		for _, x := range []struct {
			kind string
			act  func() error
		}{
			{chat.KindMessage, func() error { _, err := l.sendIn(g.ID, bob, "three"); return err }},
			{chat.KindEdited, func() error { _, err := l.Edit(ctx, bob, p, one.ID, "uno", 0); return err }},
			{chat.KindDeleted, func() error { _, err := l.Delete(ctx, bob, p, two.ID, 0); return err }},
			{chat.KindRelayed, func() error { return wait(l.Relay(out, journal.Key{})) }},
			{chat.KindMessage, func() error { return wait(l.Send(chat.Outgoing{From: ann, Group: g.ID, Text: "x"}, journal.Key{})) }},
			{chat.KindKicked, func() error { return l.Kick(ctx, bob, g.ID, dan) }},
			{chat.KindCleared, func() error { return l.Clear(ctx, bob, p, 0) }},
			{chat.KindLeft, func() error { return l.Leave(ctx, bob, g.ID) }},
			{chat.KindJoined, func() error { _, err := l.Join(ctx, bob, g.ID, g.Link); return err }},
		} {
			anns, cats := l.head(account.Inbox(ann)), l.head(account.Inbox(cat))
			l.ok(x.act())
			kinds, ms := l.inbox(ann, anns)
			if !slices.Equal(kinds, []string{x.kind}) {
				t.Fatalf("ann heard %q, want %s", kinds, x.kind)
			}
			if kinds, _ := l.inbox(cat, cats); (len(kinds) == 0) != (ms[0].From == bob) {
				t.Fatalf("of %s by %s cat heard %q", x.kind, names[ms[0].From], kinds)
			}
		}
		anns, cats := l.join(account.Inbox(ann), 0), l.join(account.Inbox(cat), 0)
		l.ok(l.Typing(ctx, bob, p, 0))
		l.ok(l.RelayVolatile(ctx, out))
		l.ok(wait(l.ReadTo(bob, p, l.said(p, ann, "one more").ID, 0, journal.Key{})))
		l.said(p, ann, "and more")
		l.ok(wait(l.ReadAll(bob, p, 0, journal.Key{})))
		if got := l.hears(account.Inbox(ann), anns); strings.Count(got, "\n") != 4 || strings.Count(got, chat.KindRead) != 2 {
			t.Fatalf("ann heard %q", got)
		}
		if got := l.hears(account.Inbox(cat), cats); got != "" {
			t.Fatalf("cat heard %q", got)
		}
	})
}

func TestWhatABlockHidesOfAGroup(t *testing.T) {
	eachBlock(t, func(t *testing.T, l *live, block func(a, b uint64)) { //nolint:thelper // the test itself
		ctx := t.Context()
		g := l.group(ann, bob, cat)
		p := chat.Place{Group: g.ID}
		bobs := l.said(p, bob, "from bob")
		l.said(p, ann, "from ann")
		l.readAll(bob, p)
		block(bob, cat)
		l.history(cat, p, "from ann")
		l.history(ann, p, "from ann from bob")
		l.history(bob, p, "from ann from bob")
		for who, readers := range map[uint64]int{ann: 1, cat: 0} {
			page, _, err := l.History(ctx, who, p, 0, 1)
			if err != nil || len(page[0].Readers) != readers {
				t.Fatalf("%s sees it read by %v, %v", names[who], page[0].Readers, err)
			}
		}
		for who, want := range map[uint64]string{ann: "ann0 bob0 cat0", bob: "ann0 bob0", cat: "ann0 cat0"} {
			if got := l.names(l.Members(ctx, who, g.ID)); got != want {
				t.Fatalf("%s sees %s", names[who], got)
			}
			chats, err := l.Overview(ctx, who, 10)
			l.ok(err)
			if got := l.names(chats[0].Members, nil); got != want {
				t.Fatalf("%s sees %s", names[who], got)
			}
		}
		chats, err := l.Overview(ctx, cat, 10)
		if err != nil || inWords(chats[0].Messages) != "from ann" || len(chats[0].Messages[0].Readers) != 0 {
			t.Fatalf("%+v, %v", chats, err)
		}
		// What one cannot see cannot be answered, nor read.
		_, err = l.Send(chat.Outgoing{From: cat, Group: g.ID, Text: "x", Reply: bobs.ID}, journal.Key{}).Wait(ctx)
		l.refused(err, chat.ErrNoMessage)
		_, err = l.ReadTo(cat, p, bobs.ID, 0, journal.Key{}).Wait(ctx)
		l.refused(err, chat.ErrNoMessage)
		l.readAll(cat, p)
		l.said(p, bob, "unheard")
		if ms := l.readAll(cat, p); ms != nil {
			t.Fatalf("of what is hidden was said %s", ms[0].Data)
		}
		l.said(p, bob, "unheard too")
		l.history(cat, p, "from ann")
	})
}

func TestABlockedOwnersGroupInvitesNobody(t *testing.T) {
	eachBlock(t, func(t *testing.T, l *live, block func(a, b uint64)) { //nolint:thelper // the test itself
		g := l.group(ann)
		block(ann, bob)
		_, _, err := l.GroupByLink(t.Context(), bob, g.Link)
		l.refused(err, chat.ErrNoInvite)
		_, err = l.Join(t.Context(), bob, g.ID, g.Link)
		l.refused(err, chat.ErrNoInvite)
		_, err = l.Join(t.Context(), cat, g.ID, g.Link)
		l.ok(err)
	})
}

func TestABlockHidesFromLists(t *testing.T) {
	eachBlock(t, func(t *testing.T, l *live, block func(a, b uint64)) { //nolint:thelper // the test itself
		ctx := t.Context()
		l.befriend(ann, bob)
		l.befriend(ann, cat)
		block(ann, bob)
		for who, want := range map[uint64]string{ann: "cat", bob: ""} {
			if got := l.overview(who); got != want {
				t.Fatalf("%s has chats with %q, want %q", names[who], got, want)
			}
		}
		if got := l.names(l.Search(ctx, ann, "bob", 10)) + l.names(l.Search(ctx, bob, "ann", 10)); got != "" {
			t.Fatalf("found %s", got)
		}
		if got := l.names(l.Search(ctx, cat, "bob", 10)); got != "bob0" {
			t.Fatalf("cat found %s", got)
		}
	})
}

func TestABlockHidesPosts(t *testing.T) {
	eachBlock(t, func(t *testing.T, l *live, block func(a, b uint64)) { //nolint:thelper // the test itself
		ctx := t.Context()
		anns, cats := l.post(ann, "ann's"), l.post(cat, "cat's")
		c, err := l.AddComment(ctx, bob, cats.ID, "from bob")
		l.ok(err)
		mine, err := l.AddComment(ctx, bob, anns.ID, "from bob")
		l.ok(err)
		block(ann, bob)
		if got := l.posts(bob); got != "cat:cat's 0 likes 1 comments" {
			t.Fatalf("bob sees %s", got)
		}
		if got := l.comments(ann, cats.ID) + l.comments(ann, anns.ID); got != "bob:from bob" { // on her own post
			t.Fatalf("ann sees %s", got)
		}
		if got := l.comments(cat, cats.ID); got != "bob:from bob" {
			t.Fatalf("cat sees %s", got)
		}
		_, err = l.Post(ctx, bob, anns.ID)
		l.refused(err, chat.ErrNoPost)
		_, err = l.Like(bob, anns.ID, true, journal.Key{}).Wait(ctx)
		l.refused(err, chat.ErrNoPost)
		_, err = l.AddComment(ctx, bob, anns.ID, "x")
		l.refused(err, chat.ErrNoPost)
		_, err = l.Comments(ctx, bob, anns.ID)
		l.refused(err, chat.ErrNoPost)
		l.refused(l.DeleteComment(ctx, bob, anns.ID, mine.ID), chat.ErrNoPost)
		l.refused(l.DeleteComment(ctx, ann, cats.ID, c.ID), chat.ErrNoComment)
		l.ok(l.DeleteComment(ctx, ann, anns.ID, mine.ID)) // who answers for it can take it away
		if got := l.posts(cat); got != "cat:cat's 0 likes 1 comments, ann:ann's 0 likes 0 comments" {
			t.Fatalf("cat sees %s", got)
		}
	})
}
