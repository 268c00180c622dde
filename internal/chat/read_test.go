package chat_test

import (
	"encoding/json"
	"slices"
	"strings"
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

// eachRoom is eachPlace with what bob's reading, by the login 7, says of itself:
// in the private room a message, in the group what ann and bob's other devices
// are told, the same for both.
func eachRoom(t *testing.T, f func(t *testing.T, w *world, asAnn, asBob chat.Place, says func(*journal.Pending) *chat.MessagesRead)) {
	t.Helper()
	t.Run("private", func(t *testing.T) {
		w := start(t)
		w.befriend(ann, bob)
		f(t, w, chat.Place{User: bob}, chat.Place{User: ann}, func(p *journal.Pending) *chat.MessagesRead {
			r, err := p.Wait(t.Context())
			w.ok(err)
			if len(r.Messages) == 0 {
				return nil
			}
			m := r.Messages[0]
			if len(r.Messages) != 1 || m.Kind != chat.KindRead || m.From != bob || m.Except != 7 || topics(m) != "user/1 user/2" {
				t.Fatalf("said %+v", m)
			}
			d := decode[chat.MessagesRead](t, m)
			return &d
		})
	})
	t.Run("group", func(t *testing.T) {
		l := startLive(t)
		g := l.group(ann, bob)
		anns, bobs, same := l.join(account.Inbox(ann), 1), l.join(account.Inbox(bob), 8), l.join(account.Inbox(bob), 7)
		f(t, l.world, chat.Place{Group: g.ID}, chat.Place{Group: g.ID}, func(p *journal.Pending) *chat.MessagesRead {
			before := [3]uint64{l.head(account.Inbox(ann)), l.head(account.Inbox(bob)), l.head(chat.RoomTopic(g.ID))}
			r, err := p.Wait(t.Context())
			l.ok(err)
			after := [3]uint64{l.head(account.Inbox(ann)), l.head(account.Inbox(bob)), l.head(chat.RoomTopic(g.ID))}
			told := l.hears(account.Inbox(ann), anns)
			if r.Messages != nil || before != after || l.hears(account.Inbox(bob), bobs) != told || strings.Contains(same.text(), chat.KindRead) {
				t.Fatalf("kept %+v, told %q", r.Messages, told)
			}
			if told == "" {
				return nil
			}
			var d chat.MessagesRead
			line, read := strings.CutPrefix(told, chat.KindRead+" ")
			if err := json.Unmarshal([]byte(line), &d); err != nil || !read {
				t.Fatalf("told %q", told)
			}
			return &d
		})
	})
}

func TestReadAll(t *testing.T) {
	eachRoom(t, func(t *testing.T, w *world, asAnn, asBob chat.Place, says func(*journal.Pending) *chat.MessagesRead) { //nolint:thelper // the test itself
		readAll := func() *chat.MessagesRead { return says(w.ReadAll(bob, asBob, 7, journal.Key{})) }
		if d := readAll(); d != nil {
			t.Fatalf("of an empty room was said %+v", d)
		}
		w.said(asAnn, ann, "one")
		two := w.said(asAnn, ann, "two")
		w.said(asBob, bob, "mine")
		if n := w.unread(bob, asBob); n != 2 {
			t.Fatalf("%d unread", n)
		}
		record := w.head(chat.RoomTopic(5))
		d := readAll()
		if d == nil || d.Last != two.ID || d.By.ID != bob || d.Room != 5 || d.To != asBob.User || (d.Group != nil) != (asBob.Group != 0) {
			t.Fatalf("said %+v", d)
		}
		if n := w.unread(bob, asBob); n != 0 || w.head(chat.RoomTopic(5)) != record {
			t.Fatalf("%d unread", n)
		}
		if n := w.unread(ann, asAnn); n != 1 {
			t.Fatalf("ann has %d unread", n)
		}
		for range 2 { // nothing new, then only one's own
			if d := readAll(); d != nil {
				t.Fatalf("said %+v", d)
			}
			w.said(asBob, bob, "mine again")
		}
		three := w.said(asAnn, ann, "three")
		if n := w.unread(bob, asBob); n != 1 {
			t.Fatalf("%d unread", n)
		}
		if d := readAll(); d == nil || d.Last != three.ID {
			t.Fatalf("said %+v", d)
		}
		w.said(asAnn, ann, "four")
		w.ok(w.Clear(t.Context(), ann, asAnn, 0))
		if d := readAll(); d != nil {
			t.Fatalf("of what was cleared was said %+v", d)
		}
	})
}

func TestReadTo(t *testing.T) {
	eachRoom(t, func(t *testing.T, w *world, asAnn, asBob chat.Place, says func(*journal.Pending) *chat.MessagesRead) { //nolint:thelper // the test itself
		one, mine := w.said(asAnn, ann, "one"), w.said(asBob, bob, "mine")
		two := w.said(asAnn, ann, "two")
		to := func(id string) *chat.MessagesRead {
			return says(w.ReadTo(bob, asBob, id, 7, journal.Key{}))
		}
		if d := to(one.ID); d == nil || d.Last != one.ID {
			t.Fatalf("said %+v", d)
		}
		if n := w.unread(bob, asBob); n != 1 {
			t.Fatalf("%d unread", n)
		}
		for _, id := range []string{one.ID, mine.ID} {
			if d := to(id); d != nil {
				t.Fatalf("said %+v", d)
			}
		}
		to(two.ID)
		if d := to(one.ID); d != nil || w.unread(bob, asBob) != 0 {
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
