package chat_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// group makes a group of owner and others, in this order.
func (w *world) group(owner uint64, others ...uint64) chat.Group {
	w.t.Helper()
	g, err := w.CreateGroup(w.t.Context(), owner, "warung")
	w.ok(err)
	for _, id := range others {
		g, err = w.Join(w.t.Context(), id, g.ID, g.Link)
		w.ok(err)
	}
	return g
}

// inbox is what entered somebody's inbox since the nth message, as kinds.
func (w *world) inbox(user, after uint64) (kinds []string, ms []*journal.Message) {
	w.t.Helper()
	ms, err := w.journal.Read(w.t.Context(), account.Inbox(user), after, 1000)
	w.ok(err)
	for _, m := range ms {
		kinds = append(kinds, m.Kind)
	}
	return kinds, ms
}

func (w *world) head(topic string) uint64 {
	w.t.Helper()
	head, err := w.journal.Head(w.t.Context(), topic)
	w.ok(err)
	return head
}

func (w *world) sendIn(group, from uint64, text string) (*journal.Message, error) {
	r, err := w.Send(chat.Outgoing{From: from, Group: group, Login: 10 + from, Text: text}, journal.Key{}).Wait(w.t.Context())
	if err != nil {
		return nil, err
	}
	return r.Messages[0], nil
}

// said sends a text and returns the message.
func (w *world) said(p chat.Place, from uint64, text string) *journal.Message {
	w.t.Helper()
	r, err := w.Send(chat.Outgoing{From: from, To: p.User, Group: p.Group, Text: text}, journal.Key{}).Wait(w.t.Context())
	w.ok(err)
	return r.Messages[0]
}

func topics(m *journal.Message) string {
	var ts []string
	for _, e := range m.Entries {
		ts = append(ts, e.Topic)
	}
	slices.Sort(ts)
	return strings.Join(ts, " ")
}

func decode[T any](t testing.TB, m *journal.Message) T {
	t.Helper()
	var d T
	if err := json.Unmarshal(m.Data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func (w *world) names(ps []chat.Person, err error) string {
	w.t.Helper()
	w.ok(err)
	var out []string
	for _, p := range ps {
		if p.Password != "" {
			w.t.Fatal("a list gives a hash away")
		}
		out = append(out, fmt.Sprint(p.Handle, p.Friend))
	}
	return strings.Join(out, " ")
}

func TestAMessageInAGroupIsOneRow(t *testing.T) {
	w := start(t)
	g := w.group(ann, bob, cat)
	rows := w.head(chat.RoomTopic(g.ID))
	if rows != 2 { // bob and cat came
		t.Fatalf("%d rows", rows)
	}
	before, _ := w.inbox(dan, 0)
	m, err := w.sendIn(g.ID, bob, "halo")
	w.ok(err)
	if topics(m) != "room/5 user/1 user/2 user/3" || m.Except != 12 || m.From != bob || m.Kind != chat.KindMessage {
		t.Fatalf("said %+v", m)
	}
	const want = `{"room":5,"text":"halo","sender":{"id":2,"handle":"bob","name":"bob"},"group":{"id":5,"name":"warung","owner":1}}`
	if string(m.Data) != want {
		t.Fatalf("said %s", m.Data)
	}
	if after, _ := w.inbox(dan, 0); len(after) != len(before) {
		t.Fatalf("dan heard %q", after)
	}
	r, err := w.Send(chat.Outgoing{From: ann, Group: g.ID, Text: "ya?", Reply: m.ID}, journal.Key{}).Wait(t.Context())
	w.ok(err)
	if d := decode[chat.MessageSent](t, r.Messages[0]); d.Reply != m.ID {
		t.Fatalf("answers %q", d.Reply)
	}
	other := w.group(ann, bob)
	_, ms := w.inbox(bob, 0)
	for _, reply := range []string{"x", "1-1", m.ID, ms[len(ms)-1].ID} { // the last says that bob came
		_, err := w.Send(chat.Outgoing{From: ann, Group: other.ID, Text: "ya?", Reply: reply}, journal.Key{}).Wait(t.Context())
		w.refused(err, chat.ErrNoMessage)
	}
	_, err = w.sendIn(g.ID, dan, "may I?")
	w.refused(err, chat.ErrNotMember)
	_, err = w.sendIn(99, ann, "hm")
	w.refused(err, chat.ErrNoRoom)
	_, err = w.sendIn(g.ID, ann, "")
	w.refused(err, chat.ErrTextRequired)
	w.ok(w.accounts.Suspend(t.Context(), bob))
	_, err = w.sendIn(g.ID, bob, "still here")
	w.refused(err, account.ErrSuspended)
}

func TestAGroupsLife(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	for name, want := range map[string]string{"": "NAME_REQUIRED", "a\x00b": "NAME_INVALID", strings.Repeat("x", 36): "NAME_TOO_LONG"} {
		if _, err := w.CreateGroup(ctx, ann, name); err == nil || status.Of(err).Reason != want {
			t.Fatalf("%q: %v, want %s", name, err, want)
		}
	}
	w.befriend(ann, bob)
	g := w.group(ann, bob, cat)
	if g.Members != 3 || g.Owner != ann || g.Name != "warung" || len(g.Link) < 22 {
		t.Fatalf("%+v", g)
	}
	if got, err := w.Group(ctx, g.ID); err != nil || got != g {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, joined, err := w.GroupByLink(ctx, dan, g.Link); err != nil || joined || got != g {
		t.Fatalf("%+v, %v, %v", got, joined, err)
	}
	if _, joined, err := w.GroupByLink(ctx, cat, g.Link); err != nil || !joined {
		t.Fatalf("%v, %v", joined, err)
	}
	for _, link := range []string{"", "x", strings.Repeat("x", 1000)} {
		_, _, err := w.GroupByLink(ctx, dan, link)
		w.refused(err, chat.ErrNoInvite)
		_, err = w.Join(ctx, dan, g.ID, link)
		w.refused(err, chat.ErrNoInvite)
	}
	if got := w.names(w.Members(ctx, bob, g.ID)); got != "ann1 bob0 cat0" {
		t.Fatalf("members %s", got)
	}
	_, err := w.Members(ctx, dan, g.ID)
	w.refused(err, chat.ErrNotMember)

	// Joining again is nothing; leaving is heard by all, and hands over.
	head := w.head(chat.RoomTopic(g.ID))
	_, err = w.Join(ctx, cat, g.ID, "whatever")
	w.ok(err)
	if w.head(chat.RoomTopic(g.ID)) != head {
		t.Fatal("who is in it joined again")
	}
	g, err = w.Rename(ctx, ann, g.ID, "  kopi   darat ")
	if err != nil || g.Name != "kopi darat" {
		t.Fatalf("%+v, %v", g, err)
	}
	w.refused(w.Leave(ctx, dan, g.ID), chat.ErrNotMember)
	w.ok(w.Leave(ctx, ann, g.ID))
	for _, who := range []uint64{ann, bob, cat} {
		_, ms := w.inbox(who, 0)
		last := ms[len(ms)-1]
		d := decode[chat.MemberEvent](t, last)
		if last.Kind != chat.KindLeft || d.User.ID != ann || d.By.ID != ann || d.Group != (chat.GroupProfile{ID: g.ID, Name: "kopi darat", Owner: bob}) {
			t.Fatalf("%s heard %s %s", names[who], last.Kind, last.Data)
		}
	}
	w.ok(w.Leave(ctx, cat, g.ID))
	w.ok(w.Leave(ctx, bob, g.ID))
	_, err = w.Group(ctx, g.ID)
	w.refused(err, chat.ErrNoRoom)
	_, err = w.PlaceOf(ctx, g.ID)
	w.refused(err, chat.ErrNoRoom)
	_, err = w.Join(ctx, bob, g.ID, g.Link)
	w.refused(err, chat.ErrNoRoom)
	_, _, err = w.GroupByLink(ctx, bob, g.Link)
	w.refused(err, chat.ErrNoInvite)
}

func TestPlaces(t *testing.T) {
	w := start(t)
	w.befriend(ann, bob) // their room takes an id
	g := w.group(ann)
	for id, want := range map[uint64]chat.Place{ann: {User: ann}, g.ID: {Group: g.ID}} {
		if p, err := w.PlaceOf(t.Context(), id); err != nil || p != want {
			t.Errorf("%d is %+v, %v", id, p, err)
		}
	}
	for _, id := range []uint64{0, 5, 99} {
		_, err := w.PlaceOf(t.Context(), id)
		w.refused(err, chat.ErrNoRoom)
	}
}

func TestTheEldestMemberInherits(t *testing.T) {
	w := start(t)
	g := w.group(ann, dan, cat, bob)
	w.ok(w.Leave(t.Context(), dan, g.ID))
	_, err := w.Join(t.Context(), dan, g.ID, g.Link) // the youngest now
	w.ok(err)
	for _, heir := range []uint64{cat, bob, dan} {
		g, err := w.Group(t.Context(), g.ID)
		w.ok(err)
		w.ok(w.Leave(t.Context(), g.Owner, g.ID))
		if g, err = w.Group(t.Context(), g.ID); err != nil || g.Owner != heir {
			t.Fatalf("%s owns it, %v; want %s", names[g.Owner], err, names[heir])
		}
	}
}

func TestOnlyTheOwnerMay(t *testing.T) {
	w := start(t)
	g := w.group(ann, bob, cat)
	for who, want := range map[uint64]error{bob: chat.ErrNotOwner, dan: chat.ErrNotMember} {
		w.refused(w.Kick(t.Context(), who, g.ID, cat), want)
		w.refused(w.Clear(t.Context(), who, chat.Place{Group: g.ID}, 0), want)
		_, err := w.ResetLink(t.Context(), who, g.ID)
		w.refused(err, want)
		_, err = w.Rename(t.Context(), who, g.ID, "x")
		w.refused(err, want)
	}
	w.refused(w.Kick(t.Context(), ann, g.ID, ann), chat.ErrSelf)
	w.refused(w.Kick(t.Context(), ann, g.ID, dan), chat.ErrNotMember)
	w.refused(w.Kick(t.Context(), ann, g.ID, 99), chat.ErrNotMember)
	w.refused(w.Kick(t.Context(), ann, 99, bob), chat.ErrNoRoom)
	if got, err := w.Group(t.Context(), g.ID); err != nil || got != g {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestWhoHadToGo(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	g := w.group(ann, bob, cat)
	p := chat.Place{Group: g.ID}
	w.ok(w.Kick(ctx, ann, g.ID, bob))
	for _, who := range []uint64{ann, bob, cat} {
		_, ms := w.inbox(who, 0)
		last := ms[len(ms)-1]
		if d := decode[chat.MemberEvent](t, last); last.Kind != chat.KindKicked || d.User.ID != bob || d.By.ID != ann {
			t.Fatalf("%s heard %s %s", names[who], last.Kind, last.Data)
		}
	}
	before := w.head(account.Inbox(bob))
	m, err := w.sendIn(g.ID, ann, "between us")
	w.ok(err)
	if w.head(account.Inbox(bob)) != before || strings.Contains(topics(m), "user/2") {
		t.Fatal("who had to go hears on")
	}
	_, err = w.sendIn(g.ID, bob, "hey")
	w.refused(err, chat.ErrKicked)
	_, _, err = w.History(ctx, bob, p, 0, 10)
	w.refused(err, chat.ErrKicked)
	_, err = w.Members(ctx, bob, g.ID)
	w.refused(err, chat.ErrKicked)
	w.refused(w.Typing(ctx, bob, p, 0), chat.ErrKicked)
	_, err = w.Join(ctx, bob, g.ID, g.Link)
	w.refused(err, chat.ErrKicked)

	old := g.Link
	g, err = w.ResetLink(ctx, ann, g.ID)
	w.ok(err)
	for _, who := range []uint64{bob, dan} {
		_, err = w.Join(ctx, who, g.ID, old)
		w.refused(err, chat.ErrNoInvite)
	}
	if g.Link == old {
		t.Fatal("the link is the old one")
	}
	_, err = w.Join(ctx, bob, g.ID, g.Link)
	w.ok(err)
	_, err = w.sendIn(g.ID, bob, "back again")
	w.ok(err)
}

func TestJoiningAtOnce(t *testing.T) {
	const most, rush = 5, 24
	w := start(t, func(o *chat.Options) { o.MaxMembers = most })
	g := w.group(ann)
	ids := make([]uint64, rush)
	for i := range ids {
		u, err := w.accounts.Register(t.Context(), account.Registration{Email: fmt.Sprintf("x%d@example.org", i), Name: fmt.Sprintf("guest.%d", i), Password: "12345678"})
		w.ok(err)
		ids[i] = u.ID
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	in := 0
	for _, id := range ids {
		wg.Go(func() {
			_, err := w.Join(t.Context(), id, g.ID, g.Link)
			switch {
			case err == nil:
				mu.Lock()
				in++
				mu.Unlock()
			case !errors.Is(err, chat.ErrFull):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	g, err := w.Group(t.Context(), g.ID)
	if err != nil || in != most-1 || g.Members != most {
		t.Fatalf("%d came in, and %d are, %v", in, g.Members, err)
	}
}

func TestGroupsOfOnePersonAreBounded(t *testing.T) {
	w := start(t)
	open := w.group(bob)
	for range 200 {
		w.group(ann)
	}
	_, err := w.CreateGroup(t.Context(), ann, "one more")
	w.refused(err, chat.ErrTooManyGroups)
	_, err = w.Join(t.Context(), ann, open.ID, open.Link)
	w.refused(err, chat.ErrTooManyGroups)
}

func TestPublishIn(t *testing.T) {
	w := start(t)
	g := w.group(ann, bob)
	r, err := w.journal.Do(journal.All(w.PublishIn(g.ID, "buka jam 8"), w.AnnounceIn("buka"))).Wait(t.Context())
	w.ok(err)
	m := r.Messages[0]
	if topics(m) != "room/5 user/1 user/2" || m.From != 0 || topics(r.Messages[1]) != chat.FeedTopic {
		t.Fatalf("said %+v", m)
	}
	page, _, err := w.History(t.Context(), bob, chat.Place{Group: g.ID}, 0, 10)
	if err != nil || len(page) != 1 || page[0].Text != "buka jam 8" || page[0].Sender.ID != 0 || page[0].Group.ID != g.ID {
		t.Fatalf("%+v, %v", page, err)
	}
	_, err = w.journal.Do(journal.All(w.AnnounceIn("never"), w.PublishIn(99, "x"))).Wait(t.Context())
	w.refused(err, chat.ErrNoRoom)
	if w.head(chat.FeedTopic) != 1 {
		t.Fatal("half of it happened")
	}
}
