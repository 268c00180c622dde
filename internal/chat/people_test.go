package chat_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
)

// overview is with whom somebody has chats.
func (w *world) overview(me uint64) string {
	w.t.Helper()
	chats, err := w.Overview(w.t.Context(), me, 10)
	w.ok(err)
	var out []string
	for _, c := range chats {
		if (c.Group == nil) == (c.Other == nil) || c.Room == 0 {
			w.t.Fatalf("%+v", c)
		}
		if c.Group != nil {
			out = append(out, c.Group.Name)
		} else {
			out = append(out, c.Other.Handle)
		}
	}
	return strings.Join(out, " ")
}

func TestOverview(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	if got := w.overview(ann); got != "" {
		t.Fatal(got)
	}
	w.befriend(ann, bob)
	w.befriend(cat, ann)
	g := w.group(dan, ann, bob)
	w.group(dan) // not ann's
	w.said(chat.Place{Group: g.ID}, dan, "first")
	w.said(chat.Place{User: cat}, ann, "second")
	one := w.said(chat.Place{User: bob}, ann, "third")
	for i := range 15 {
		w.said(chat.Place{User: ann}, bob, fmt.Sprint("b", i))
	}
	if got := w.overview(ann); got != "bob cat warung" {
		t.Fatal(got)
	}
	w.said(chat.Place{Group: g.ID}, dan, "last")
	if got := w.overview(ann); got != "warung bob cat" {
		t.Fatal(got)
	}
	_, err := w.Edit(ctx, ann, chat.Place{User: bob}, one.ID, "3rd", 0)
	w.ok(err)
	chats, err := w.Overview(ctx, ann, 16)
	w.ok(err)
	group, bobs := chats[1], chats[0] // an edit is something said
	if bobs.Place != (chat.Place{User: bob}) || bobs.Other.Friend != chat.Friends || bobs.Other.Email == "" || bobs.Other.Password != "" || bobs.Members != nil {
		t.Fatalf("%+v", bobs)
	}
	if got := inWords(bobs.Messages); !strings.HasPrefix(got, "3rd(edited) b0 b1") || !strings.HasSuffix(got, " b14") {
		t.Fatalf("read %q", got)
	}
	if group.Place != (chat.Place{Group: g.ID}) || group.Group.Link != g.Link || group.Group.Members != 3 || inWords(group.Messages) != "first last" {
		t.Fatalf("%+v", group)
	}
	if got := w.names(group.Members, nil); got != "dan0 ann0 bob1" {
		t.Fatal(got)
	}
	w.ok(w.Unfriend(ctx, ann, cat))
	w.ok(w.Leave(ctx, ann, g.ID))
	if got := w.overview(ann); got != "bob" {
		t.Fatal(got)
	}
}

// TestAnOverviewIsBounded: by messages, and by bytes; the people of many groups
// count too.
func TestAnOverviewIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		groups, messages int
		text, about      string
		whole            func(n int) bool // whether so many chats may have all their messages
	}{
		"messages": {45, 50, "x", "", func(n int) bool { return n == 40 }},
		"bytes":    {9, 50, strings.Repeat("x", 16<<10), "", func(n int) bool { return n == 6 }}, // the sixth goes beyond 4 MiB
		"all":      {5, 10, "x", "", func(n int) bool { return n == 5 }},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			var said []*journal.Pending
			for range c.groups {
				g := w.group(bob, cat, ann, dan)
				for i := range c.messages {
					from := uint64(cat)
					if i == c.messages-1 {
						from = dan
					}
					said = append(said, w.Send(chat.Outgoing{From: from, Group: g.ID, Text: c.text}, journal.Key{}))
				}
			}
			for _, p := range said {
				_, err := p.Wait(t.Context())
				w.ok(err)
			}
			chats, err := w.Overview(t.Context(), ann, 50)
			w.ok(err)
			whole := 0
			for i, g := range chats {
				people := w.names(g.Members, nil)
				switch {
				case len(g.Messages) == c.messages && whole == i && people == "bob0 cat0 ann0 dan0":
					whole++
				case len(g.Messages) != 1 || g.Messages[0].Sender.ID != dan || people != "bob0 ann0 dan0":
					t.Fatalf("the %dth has %d messages, and %s", i, len(g.Messages), people)
				}
			}
			if len(chats) != c.groups || !c.whole(whole) {
				t.Errorf("%d of %d are whole", whole, len(chats))
			}
		})
	}
}

func TestPersonSeenBy(t *testing.T) {
	w := start(t)
	w.befriend(ann, bob)
	w.ok(w.request(ann, cat))
	w.ok(w.request(dan, ann))
	for id, want := range map[uint64]chat.Friendship{ann: chat.Strangers, bob: chat.Friends, cat: chat.IAsked, dan: chat.TheyAsked} {
		u, err := w.accounts.User(t.Context(), id)
		w.ok(err)
		p, err := w.PersonSeenBy(t.Context(), ann, u)
		if err != nil || p.Friend != want || p.Password != "" || (p.Email != "") != (id == ann || id == bob) {
			t.Errorf("ann sees %+v, %v", p, err)
		}
	}
}

func TestSearch(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	for i, name := range []string{"Bobby Tables", "bob_2", "Kate Bobson", "100%", "Ĉat"} {
		_, err := w.accounts.Register(ctx, account.Registration{Email: fmt.Sprint(i, "@x.org"), Name: name, Password: "12345678"})
		w.ok(err)
	}
	suspended, err := w.accounts.UserByHandle(ctx, "bob_2")
	w.ok(err)
	w.befriend(ann, bob)
	find := func(q string, limit int) string {
		t.Helper()
		ps, err := w.Search(ctx, ann, q, limit)
		w.ok(err)
		var out []string
		for _, p := range ps {
			out = append(out, p.Display)
			if p.Password != "" || (p.Email != "") != (p.ID == bob) || (p.Friend == chat.Friends) != (p.ID == bob) {
				t.Fatalf("%+v", p)
			}
		}
		return strings.Join(out, ",")
	}
	for q, want := range map[string]string{
		"bob": "bob,bob_2,Bobby Tables,Kate Bobson", "BOB ": "bob,bob_2,Bobby Tables,Kate Bobson", "bob_": "bob_2", "tables": "Bobby Tables",
		"0%": "100%", "b%": "", "b_2": "bob_2", "bo_": "", "ann": "", "": "", " ": "", "b": "", "b ": "", "\xff": "", "nobody": "", "bob" + strings.Repeat(" ", 62): "", `\\`: "",
	} {
		if got := find(q, 10); got != want {
			t.Errorf("%q finds %s, want %s", q, got, want)
		}
	}
	if got := find("bob", 2) + find("bob", 0) + find("bob", -1); got != "bob,bob_2" {
		t.Error(got)
	}
	w.ok(w.accounts.Suspend(ctx, suspended.ID))
	w.ok(w.Block(ctx, ann, bob))
	if got := find("bob", 2); got != "Bobby Tables,Kate Bobson" { // who is hidden takes nobody's place
		t.Error(got)
	}
	for i := range 110 {
		_, err := w.accounts.Register(ctx, account.Registration{Email: fmt.Sprint(i, "@y.org"), Name: "Zed", Password: "12345678"})
		w.ok(err)
	}
	if ps, err := w.Search(ctx, ann, "zed", 100000); err != nil || len(ps) != 100 {
		t.Errorf("%d, %v", len(ps), err)
	}
}
