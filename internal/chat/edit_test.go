package chat_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
)

// texts is a page of a place in words, the newest first.
func (w *world) texts(me uint64, p chat.Place) string {
	w.t.Helper()
	page, _, err := w.History(w.t.Context(), me, p, 0, 100)
	w.ok(err)
	return inWords(page)
}

func inWords(page []chat.Message) string {
	var out []string
	for _, m := range page {
		text := m.Text
		switch {
		case m.Deleted:
			text += "(deleted)"
		case m.Call != nil:
			text += fmt.Sprintf("(call %s %d)", m.Call.Key, m.Call.Seconds)
		case !m.Edited.IsZero():
			text += "(edited)"
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func (w *world) history(me uint64, p chat.Place, want string) {
	w.t.Helper()
	if got := w.texts(me, p); got != want {
		w.t.Fatalf("%s reads %q, want %q", names[me], got, want)
	}
}

// eachPlace runs f in a private room of ann and bob, and in their group.
func eachPlace(t *testing.T, f func(t *testing.T, w *world, asAnn, asBob chat.Place)) {
	t.Helper()
	t.Run("private", func(t *testing.T) {
		w := start(t)
		w.befriend(ann, bob)
		f(t, w, chat.Place{User: bob}, chat.Place{User: ann})
	})
	t.Run("group", func(t *testing.T) {
		w := start(t)
		g := w.group(ann, bob)
		f(t, w, chat.Place{Group: g.ID}, chat.Place{Group: g.ID})
	})
}

func TestEditAndDelete(t *testing.T) {
	eachPlace(t, func(t *testing.T, w *world, asAnn, asBob chat.Place) { //nolint:thelper // the test itself
		ctx := t.Context()
		one, two := w.said(asAnn, ann, "one"), w.said(asAnn, ann, "two")
		m, err := w.Edit(ctx, ann, asAnn, one.ID, "uno", 7)
		w.ok(err)
		if m.ID != one.ID || m.Text != "uno" || m.Edited.IsZero() || !m.Time.Equal(one.Time) {
			t.Fatalf("%+v", m)
		}
		kinds, ms := w.inbox(bob, 0)
		last := ms[len(ms)-1]
		d := decode[chat.MessageEdited](t, last)
		if kinds[len(kinds)-1] != chat.KindEdited || last.Except != 7 || last.From != ann || d.Of != one.ID || d.Text != "uno" ||
			!d.Sent.Equal(one.Time) || d.Sender.ID != ann || d.Room == 0 || last.Seq(chat.RoomTopic(d.Room)) == 0 || last.Seq(account.Inbox(ann)) == 0 {
			t.Fatalf("bob heard %+v: %s", last, last.Data)
		}
		w.history(bob, asBob, "two uno(edited)")
		if _, err = w.Edit(ctx, ann, asAnn, one.ID, "ein", 0); err != nil {
			t.Fatal(err)
		}
		w.history(ann, asAnn, "two ein(edited)")

		_, err = w.Edit(ctx, bob, asBob, one.ID, "mine", 0)
		w.refused(err, chat.ErrEditOther)
		_, err = w.Delete(ctx, bob, asBob, one.ID, 0)
		w.refused(err, chat.ErrEditOther)
		_, err = w.Edit(ctx, ann, asAnn, last.ID, "not a message", 0)
		w.refused(err, chat.ErrNoMessage)
		_, err = w.Edit(ctx, ann, asAnn, one.ID, "", 0)
		w.refused(err, chat.ErrTextRequired)
		w.befriend(ann, cat)
		for _, elsewhere := range []string{"", "x", "1-1", w.said(chat.Place{User: cat}, ann, "hi").ID} {
			_, err = w.Edit(ctx, ann, asAnn, elsewhere, "x", 0)
			w.refused(err, chat.ErrNoMessage)
		}

		head := w.head(account.Inbox(bob))
		for range 2 {
			m, err = w.Delete(ctx, ann, asAnn, two.ID, 8)
			if err != nil || !m.Deleted || m.Text != "" {
				t.Fatalf("%+v, %v", m, err)
			}
		}
		if _, ms := w.inbox(bob, head); len(ms) != 1 || ms[0].Kind != chat.KindDeleted || decode[chat.MessageEdited](t, ms[0]).Of != two.ID || strings.Contains(string(ms[0].Data), "two") {
			t.Fatalf("bob heard %d messages", len(ms))
		}
		w.history(bob, asBob, "(deleted) ein(edited)")
		_, err = w.Edit(ctx, ann, asAnn, two.ID, "x", 0)
		w.refused(err, chat.ErrEditDeleted)
	})
}

func TestEditingEnds(t *testing.T) {
	var now time.Time
	w := start(t, func(o *chat.Options) { o.Now = func() time.Time { return now } })
	w.befriend(ann, bob)
	p := chat.Place{User: bob}
	m := w.said(p, ann, "one")
	now = m.Time.Add(15 * time.Minute)
	_, err := w.Edit(t.Context(), ann, p, m.ID, "two", 0)
	w.ok(err)
	now = now.Add(1)
	_, err = w.Edit(t.Context(), ann, p, m.ID, "three", 0)
	w.refused(err, chat.ErrEditExpired)
	w.history(ann, p, "two(edited)")
	_, err = w.Delete(t.Context(), ann, p, m.ID, 0)
	w.ok(err)
}

// Who may not speak in a place any more may not change what they said there.
func TestEditingIsSpeaking(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	w.befriend(ann, bob)
	g := w.group(ann, bob)
	private, group := chat.Place{User: ann}, chat.Place{Group: g.ID}
	one, two := w.said(private, bob, "one"), w.said(group, bob, "two")
	w.ok(w.Unfriend(ctx, ann, bob))
	w.ok(w.Leave(ctx, bob, g.ID))
	for _, x := range []struct {
		p    chat.Place
		id   string
		want error
	}{{private, one.ID, chat.ErrNotFriends}, {group, two.ID, chat.ErrNotMember}} {
		_, err := w.Edit(ctx, bob, x.p, x.id, "x", 0)
		w.refused(err, x.want)
		_, err = w.Delete(ctx, bob, x.p, x.id, 0)
		w.refused(err, x.want)
		w.refused(w.Clear(ctx, bob, x.p, 0), x.want)
		_, err = w.ReadAll(bob, x.p, 0, journal.Key{}).Wait(ctx)
		w.refused(err, x.want)
	}
}

func TestClear(t *testing.T) {
	eachPlace(t, func(t *testing.T, w *world, asAnn, asBob chat.Place) { //nolint:thelper // the test itself
		ctx := t.Context()
		one := w.said(asAnn, ann, "one")
		w.said(asBob, bob, "two")
		w.ok(w.Clear(ctx, ann, asAnn, 7))
		_, ms := w.inbox(bob, 0)
		if m := ms[len(ms)-1]; m.Kind != chat.KindCleared || m.Except != 7 || decode[chat.RoomEvent](t, m).By.ID != ann {
			t.Fatalf("bob heard %s %s", m.Kind, m.Data)
		}
		w.history(ann, asAnn, "")
		w.history(bob, asBob, "")
		_, err := w.Edit(ctx, ann, asAnn, one.ID, "uno", 0)
		w.refused(err, chat.ErrNoMessage)
		w.said(asBob, bob, "three")
		w.history(ann, asAnn, "three")
		page, next, err := w.History(ctx, ann, asAnn, 0, 1)
		if err != nil || len(page) != 1 || next == 0 {
			t.Fatalf("%v, %d, %v", page, next, err)
		}
		if page, next, err = w.History(ctx, ann, asAnn, next, 10); err != nil || len(page) != 0 || next != 0 {
			t.Fatalf("behind the clear: %v, %d, %v", page, next, err)
		}
	})
}

// A page stays what it is while others write, and what was changed since shows
// on it; rows that are no messages take no place.
func TestPagesAreStable(t *testing.T) {
	eachPlace(t, func(t *testing.T, w *world, asAnn, asBob chat.Place) { //nolint:thelper // the test itself
		ctx := t.Context()
		var ids []string
		for i := range 25 {
			ids = append(ids, w.said(asAnn, ann, fmt.Sprint("m", i)).ID)
			_, err := w.Edit(ctx, ann, asAnn, ids[i], fmt.Sprint("e", i), 0) // a row between each two
			w.ok(err)
		}
		var all []string
		for cursor, pages := uint64(0), 0; ; pages++ {
			page, next, err := w.History(ctx, bob, asBob, cursor, 10)
			w.ok(err)
			if pages < 2 && len(page) != 10 {
				t.Fatalf("page %d has %d", pages, len(page))
			}
			all = append(all, inWords(page))
			w.said(asBob, bob, "meanwhile")
			_, err = w.Delete(ctx, ann, asAnn, ids[7], 0)
			w.ok(err)
			if cursor = next; next == 0 {
				break
			}
		}
		var want []string
		for i := 24; i >= 0; i-- {
			if i == 7 {
				want = append(want, "(deleted)")
			} else {
				want = append(want, fmt.Sprintf("e%d(edited)", i))
			}
		}
		if got := strings.Join(strings.Fields(strings.Join(all, " ")), " "); got != strings.Join(want, " ") {
			t.Fatalf("read %q", got)
		}
		if page, next, err := w.History(ctx, bob, asBob, 0, 0); err != nil || page != nil || next != 0 {
			t.Fatalf("%v, %d, %v", page, next, err)
		}
	})
}

func TestAPageIsBounded(t *testing.T) {
	w := start(t)
	g := w.group(ann)
	for i := range 250 {
		w.said(chat.Place{Group: g.ID}, ann, strconv.Itoa(i))
	}
	page, next, err := w.History(t.Context(), ann, chat.Place{Group: g.ID}, 0, 100000)
	if err != nil || len(page) != 200 || next == 0 {
		t.Fatalf("%d, %d, %v", len(page), next, err)
	}
}

func TestALongWayToThePast(t *testing.T) {
	w := start(t)
	w.befriend(ann, bob)
	p := chat.Place{User: bob}
	m := w.said(p, ann, "first")
	var last *journal.Pending
	for i := range 2500 { // rows that are no messages
		last = w.journal.Do(journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
			return []*journal.Message{{Kind: "other", Entries: journal.To(chat.RoomTopic(5)), Data: fmt.Append(nil, i)}}, nil
		}))
	}
	_, err := last.Wait(t.Context())
	w.ok(err)
	page, next, err := w.History(t.Context(), ann, p, 0, 10)
	if err != nil || len(page) != 0 || next == 0 {
		t.Fatalf("%v, %d, %v", page, next, err)
	}
	page, next, err = w.History(t.Context(), ann, p, next, 10)
	if err != nil || len(page) != 1 || page[0].ID != m.ID || next != 0 {
		t.Fatalf("%v, %d, %v", page, next, err)
	}
}

func TestCalls(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	w.befriend(ann, bob)
	w.said(chat.Place{User: bob}, ann, "call me")
	before := w.head(account.Inbox(bob))
	for range 2 { // both ends may report it
		w.ok(w.RecordCall(ctx, bob, ann, chat.Call{Key: "k1", Seconds: 61}))
	}
	w.ok(w.RecordCall(ctx, ann, bob, chat.Call{Key: "k2", Seconds: -1}))
	w.history(ann, chat.Place{User: bob}, "(call k2 -1) (call k1 61) call me")
	page, _, err := w.History(ctx, bob, chat.Place{User: ann}, 0, 1)
	w.ok(err)
	if m := page[0]; m.Sender.ID != ann || m.To != bob {
		t.Fatalf("%+v", m)
	}
	if w.head(account.Inbox(bob)) != before {
		t.Fatal("a call's line entered an inbox")
	}
	_, err = w.Delete(ctx, ann, chat.Place{User: bob}, page[0].ID, 0)
	w.refused(err, chat.ErrNoMessage)
	w.refused(w.RecordCall(ctx, ann, cat, chat.Call{Key: "k"}), chat.ErrNotFriends)
	for _, c := range []chat.Call{{}, {Key: "k", Seconds: -2}, {Key: strings.Repeat("k", 1000)}, {Key: "k", Seconds: 1 << 30}} {
		if w.RecordCall(ctx, ann, bob, c) == nil {
			t.Fatalf("%+v is a call", c)
		}
	}
}

// TestACallEndsWhateverIsBetweenThem: they were friends when it began.
func TestACallEndsWhateverIsBetweenThem(t *testing.T) {
	l := startLive(t)
	ctx := t.Context()
	l.befriend(ann, bob)
	e := l.join(account.Inbox(bob), 0)
	l.ok(l.Block(ctx, bob, ann))
	l.ok(l.RecordCall(ctx, ann, bob, chat.Call{Key: "k1", Seconds: 1}))
	l.ok(l.Unfriend(ctx, bob, ann))
	l.ok(l.RecordCall(ctx, bob, ann, chat.Call{Key: "k2", Seconds: 2}))
	l.history(ann, chat.Place{User: bob}, "(call k2 2) (call k1 1)")
	l.history(bob, chat.Place{User: ann}, "(call k2 2) (call k1 1)")
	l.ok(l.EndCall(bob, json.RawMessage(`{"type":"hangup"}`)))
	if got := l.hears(account.Inbox(bob), e); !strings.HasSuffix(got, `call.signal {"by":{"id":0,"handle":"","name":""},"payload":{"type":"hangup"}}`+"\n") {
		t.Fatalf("bob heard %q", got)
	}
	l.refused(l.EndCall(bob, json.RawMessage(`{`)), chat.ErrPayloadInvalid)
}

func TestWhatCannotWaitIsGivenUp(t *testing.T) {
	w := start(t)
	w.befriend(ann, bob)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Edit(ctx, ann, chat.Place{User: bob}, "1-1", "x", 0); err == nil {
		t.Fatal("edited")
	}
	if _, err := w.CreateGroup(ctx, ann, "x"); err == nil {
		t.Fatal("made")
	}
}
