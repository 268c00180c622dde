package chat_test

import (
	"slices"
	"testing"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
)

// unread is how many messages of others somebody has not read.
func (w *world) unread(me uint64, p chat.Place) (n int) {
	w.t.Helper()
	page, _, err := w.History(w.t.Context(), me, p, 0, 100)
	w.ok(err)
	for _, m := range page {
		if m.Sender.ID != me && !slices.Contains(m.Readers, me) {
			n++
		}
		if slices.Contains(m.Readers, m.Sender.ID) {
			w.t.Fatalf("%+v was read by who wrote it", m)
		}
	}
	return n
}

func (w *world) readAll(me uint64, p chat.Place) []*journal.Message {
	w.t.Helper()
	r, err := w.ReadAll(me, p, 7, journal.Key{}).Wait(w.t.Context())
	w.ok(err)
	return r.Messages
}

func TestReadAll(t *testing.T) {
	eachPlace(t, func(t *testing.T, w *world, asAnn, asBob chat.Place) { //nolint:thelper // the test itself
		if ms := w.readAll(bob, asBob); ms != nil {
			t.Fatalf("of an empty room was said %+v", ms[0])
		}
		w.said(asAnn, ann, "one")
		two := w.said(asAnn, ann, "two")
		w.said(asBob, bob, "mine")
		if n := w.unread(bob, asBob); n != 2 {
			t.Fatalf("%d unread", n)
		}
		record := w.head(chat.RoomTopic(5))
		ms := w.readAll(bob, asBob)
		if len(ms) != 1 || ms[0].Kind != chat.KindRead || ms[0].From != bob || ms[0].Except != 7 || len(ms[0].Entries) != 2 ||
			ms[0].Seq(account.Inbox(ann)) == 0 || ms[0].Seq(account.Inbox(bob)) == 0 {
			t.Fatalf("said %+v", ms)
		}
		d := decode[chat.MessagesRead](t, ms[0])
		if d.Last != two.ID || d.By.ID != bob || d.Room != 5 || d.To != asBob.User || (d.Group != nil) != (asBob.Group != 0) {
			t.Fatalf("said %s", ms[0].Data)
		}
		if n := w.unread(bob, asBob); n != 0 || w.head(chat.RoomTopic(5)) != record {
			t.Fatalf("%d unread", n)
		}
		if n := w.unread(ann, asAnn); n != 1 {
			t.Fatalf("ann has %d unread", n)
		}
		for range 2 { // nothing new, then only one's own
			if ms := w.readAll(bob, asBob); ms != nil {
				t.Fatalf("said %+v", ms[0])
			}
			w.said(asBob, bob, "mine again")
		}
		three := w.said(asAnn, ann, "three")
		if n := w.unread(bob, asBob); n != 1 {
			t.Fatalf("%d unread", n)
		}
		if ms := w.readAll(bob, asBob); len(ms) != 1 || decode[chat.MessagesRead](t, ms[0]).Last != three.ID {
			t.Fatalf("said %+v", ms)
		}
		w.said(asAnn, ann, "four")
		w.ok(w.Clear(t.Context(), ann, asAnn, 0))
		if ms := w.readAll(bob, asBob); ms != nil {
			t.Fatalf("of what was cleared was said %s", ms[0].Data)
		}
	})
}

func TestReadTo(t *testing.T) {
	eachPlace(t, func(t *testing.T, w *world, asAnn, asBob chat.Place) { //nolint:thelper // the test itself
		one, mine := w.said(asAnn, ann, "one"), w.said(asBob, bob, "mine")
		two := w.said(asAnn, ann, "two")
		to := func(id string) []*journal.Message {
			t.Helper()
			r, err := w.ReadTo(bob, asBob, id, 7, journal.Key{}).Wait(t.Context())
			w.ok(err)
			return r.Messages
		}
		if ms := to(one.ID); len(ms) != 1 || decode[chat.MessagesRead](t, ms[0]).Last != one.ID || ms[0].Except != 7 {
			t.Fatalf("said %+v", ms)
		}
		if n := w.unread(bob, asBob); n != 1 {
			t.Fatalf("%d unread", n)
		}
		for _, id := range []string{one.ID, mine.ID} {
			if ms := to(id); ms != nil {
				t.Fatalf("said %+v", ms[0])
			}
		}
		to(two.ID)
		if ms := to(one.ID); ms != nil || w.unread(bob, asBob) != 0 {
			t.Fatal("a mark went back")
		}
		w.befriend(bob, cat)
		for _, id := range []string{"", "1-1", w.said(chat.Place{User: bob}, cat, "elsewhere").ID} {
			_, err := w.ReadTo(bob, asBob, id, 0, journal.Key{}).Wait(t.Context())
			w.refused(err, chat.ErrNoMessage)
		}
	})
}

func TestReadersOfAGroup(t *testing.T) {
	w := start(t)
	g := w.group(ann, bob, cat)
	p := chat.Place{Group: g.ID}
	w.said(p, ann, "one")
	w.readAll(cat, p)
	w.said(p, cat, "two")
	w.readAll(bob, p)
	page, _, err := w.History(t.Context(), ann, p, 0, 10)
	w.ok(err)
	if !slices.Equal(page[0].Readers, []uint64{bob}) || !slices.Equal(page[1].Readers, []uint64{bob, cat}) {
		t.Fatalf("read by %v and %v", page[0].Readers, page[1].Readers)
	}
	w.ok(w.Leave(t.Context(), cat, g.ID)) // who leaves takes the mark along
	_, err = w.Join(t.Context(), cat, g.ID, g.Link)
	w.ok(err)
	if n := w.unread(cat, p); n != 1 {
		t.Fatalf("%d unread", n)
	}
}
