package chat_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
)

// plain writes what is told and not kept.
type plain struct{}

func (plain) Append(dst []byte, m *journal.Message, seq uint64) []byte {
	if seq != 0 {
		return dst
	}
	return append(append(append(append(dst, m.Kind...), ' '), m.Data...), '\n')
}

// ear is a connection that remembers.
type ear struct {
	mu    sync.Mutex
	lines strings.Builder // guarded by mu
}

func (e *ear) Send(frames ...[]byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range frames {
		e.lines.Write(f)
	}
	return true
}

func (e *ear) Share(p []byte, _ func() []byte) bool { return e.Send(p) }

func (*ear) Close(uint16, string) {}

func (e *ear) text() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lines.String()
}

// live is a world with a real hub.
type live struct {
	*world
	hub *hub.Hub
}

func startLive(t *testing.T) *live {
	t.Helper()
	l := &live{}
	l.world = start(t, func(o *chat.Options) {
		l.hub = hub.New(o.Journal, hub.Options{})
		o.Hub = l.hub
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.hub.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l *live) join(topic string, key uint64) *ear {
	l.t.Helper()
	e := &ear{}
	s := &hub.Session{Conn: e, Format: plain{}, Topic: topic, Key: key}
	l.ok(l.hub.Subscribe(l.t.Context(), s, hub.Now()))
	l.t.Cleanup(func() { l.hub.Unsubscribe(s) })
	return e
}

// hears says what has been told in a topic until now, to this ear.
func (l *live) hears(topic string, e *ear) string {
	l.t.Helper()
	// What is told later is heard later: once this is heard, all before it is.
	done := make(chan int, 1)
	l.hub.Tell(topic, &journal.Message{Kind: "end"}, func(heard int) { done <- heard })
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		l.t.Fatal("nothing is told")
	}
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(e.text(), "end "); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatal("the end is not heard")
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	told, _, _ := strings.Cut(e.lines.String(), "end ")
	e.lines.Reset()
	return told
}

func TestTyping(t *testing.T) {
	l := startLive(t)
	l.befriend(ann, bob) // room 5
	g := l.group(ann, bob, cat)
	inbox, record, cats := l.join(account.Inbox(ann), 1), l.join(chat.RoomTopic(5), 0), l.join(account.Inbox(cat), 0)
	mine := l.join(account.Inbox(bob), 0)
	l.ok(l.Typing(t.Context(), bob, chat.Place{User: ann}, 12))
	const private = `typing {"by":{"id":2,"handle":"bob","name":"bob"},"to":1}` + "\n"
	for topic, e := range map[string]*ear{account.Inbox(ann): inbox, chat.RoomTopic(5): record} {
		if got := l.hears(topic, e); got != private {
			t.Fatalf("%s heard %q", topic, got)
		}
	}
	room, own := l.join(chat.RoomTopic(g.ID), 0), l.join(chat.RoomTopic(g.ID), 12)
	l.ok(l.Typing(t.Context(), bob, chat.Place{Group: g.ID}, 12))
	const group = `typing {"by":{"id":2,"handle":"bob","name":"bob"},"group":{"id":6,"name":"warung","owner":1}}` + "\n"
	for topic, e := range map[string]*ear{account.Inbox(ann): inbox, account.Inbox(cat): cats, chat.RoomTopic(g.ID): room} {
		if got := l.hears(topic, e); got != group {
			t.Fatalf("%s heard %q", topic, got)
		}
	}
	if l.hears(account.Inbox(bob), mine)+l.hears(chat.RoomTopic(g.ID), own) != "" {
		t.Fatal("bob hears himself")
	}
	l.refused(l.Typing(t.Context(), ann, chat.Place{User: cat}, 0), chat.ErrNotFriends)
	l.refused(l.Typing(t.Context(), dan, chat.Place{Group: g.ID}, 0), chat.ErrNotMember)
	l.refused(l.Typing(t.Context(), ann, chat.Place{Group: 99}, 0), chat.ErrNoRoom)
	if rows := l.head(chat.RoomTopic(5)); rows != 0 {
		t.Fatal("it was kept")
	}
}

func TestRelay(t *testing.T) {
	l := startLive(t)
	ctx := t.Context()
	l.befriend(ann, bob)
	g := l.group(ann, bob, cat)
	heads := func() (all [4]uint64) {
		for i, topic := range []string{account.Inbox(ann), account.Inbox(bob), account.Inbox(cat), chat.RoomTopic(g.ID)} {
			all[i] = l.head(topic)
		}
		return all
	}
	out := chat.RelayOut{From: ann, Login: 7, Place: chat.Place{User: bob}, Payload: json.RawMessage(`{"type":"wave"}`)}
	was := heads()
	key := journal.Key{Scope: "login/7", Ref: "r"}
	for i := range 2 {
		r, err := l.Relay(out, key).Wait(ctx)
		l.ok(err)
		m := r.Messages[0]
		if r.Repeated != (i > 0) || m.Kind != chat.KindRelayed || topics(m) != "user/2" || m.Except != 7 || m.From != ann || string(m.Data) != `{"to":2,"payload":{"type":"wave"}}` {
			t.Fatalf("%+v: %s", m, m.Data)
		}
	}
	out.Place = chat.Place{Group: g.ID}
	r, err := l.Relay(out, journal.Key{}).Wait(ctx)
	l.ok(err)
	if m := r.Messages[0]; topics(m) != "user/2 user/3" || string(m.Data) != `{"group":{"id":6,"name":"warung","owner":1},"payload":{"type":"wave"}}` {
		t.Fatalf("%+v: %s", m, m.Data)
	}
	now := heads()
	if now != [4]uint64{was[0], was[1] + 2, was[2] + 1, was[3]} {
		t.Fatalf("from %v to %v", was, now)
	}

	ear := l.join(account.Inbox(bob), 0)
	l.ok(l.RelayVolatile(ctx, out))
	if got := l.hears(account.Inbox(bob), ear); got != `relayed {"group":{"id":6,"name":"warung","owner":1},"payload":{"type":"wave"}}`+"\n" {
		t.Fatalf("bob heard %q", got)
	}
	if heads() != now {
		t.Fatal("it was kept")
	}
	for _, bad := range []string{"", "{", `"` + strings.Repeat("x", 1<<16) + `"`} {
		out.Payload = json.RawMessage(bad)
		_, err := l.Relay(out, journal.Key{}).Wait(ctx)
		l.refused(err, chat.ErrPayloadInvalid)
		l.refused(l.RelayVolatile(ctx, out), chat.ErrPayloadInvalid)
		l.refused(l.Signal(ctx, ann, bob, out.Payload, 0, nil), chat.ErrPayloadInvalid)
	}
	out.From, out.Payload = dan, json.RawMessage(`1`)
	for p, want := range map[chat.Place]error{{User: ann}: chat.ErrNotFriends, {Group: g.ID}: chat.ErrNotMember, {}: chat.ErrNotFriends} {
		out.Place = p
		_, err := l.Relay(out, journal.Key{}).Wait(ctx)
		l.refused(err, want)
		l.refused(l.RelayVolatile(ctx, out), want)
	}
	alone := l.group(dan)
	out.Place = chat.Place{Group: alone.ID}
	if r, err := l.Relay(out, journal.Key{}).Wait(ctx); err != nil || len(r.Messages) != 1 || r.Messages[0].ID == "" {
		t.Fatalf("to nobody: %+v, %v", r, err)
	}
}

func TestSignal(t *testing.T) {
	l := startLive(t)
	l.befriend(ann, bob)
	heard := make(chan int, 1)
	then := func(n int) { heard <- n }
	signal := func() int {
		t.Helper()
		l.ok(l.Signal(t.Context(), ann, bob, json.RawMessage(`{"type":"offer"}`), 11, then))
		select {
		case n := <-heard:
			return n
		case <-time.After(30 * time.Second):
			t.Fatal("nobody says how many heard it")
			return 0
		}
	}
	if n := signal(); n != 0 {
		t.Fatalf("%d heard it, and nobody is there", n)
	}
	ears := []*ear{l.join(account.Inbox(bob), 1), l.join(account.Inbox(bob), 2)}
	if n := signal(); n != 2 {
		t.Fatalf("%d of 2 heard it", n)
	}
	for _, e := range ears {
		if got := l.hears(account.Inbox(bob), e); got != `call.signal {"by":{"id":1,"handle":"ann","name":"ann"},"payload":{"type":"offer"}}`+"\n" {
			t.Fatalf("bob heard %q", got)
		}
	}
	l.refused(l.Signal(t.Context(), ann, cat, json.RawMessage(`1`), 0, then), chat.ErrNotFriends)
	l.ok(l.Block(t.Context(), bob, ann))
	l.refused(l.Signal(t.Context(), ann, bob, json.RawMessage(`1`), 0, then), chat.ErrBlocked)

	alone := start(t) // no hub
	alone.befriend(ann, bob)
	alone.ok(alone.Signal(t.Context(), ann, bob, json.RawMessage(`1`), 0, then))
	select {
	case n := <-heard:
		if n != 0 {
			t.Fatalf("%d heard it", n)
		}
	default:
		t.Fatal("nobody says how many heard it")
	}
}

func TestLikesAreTold(t *testing.T) {
	l := startLive(t)
	p, err := l.NewPost(t.Context(), ann, "lihat!")
	l.ok(err)
	e := l.join(chat.PostsTopic, 0)
	like := func(who uint64, on bool) {
		t.Helper()
		_, err := l.Like(who, p.ID, on, journal.Key{}).Wait(t.Context())
		l.ok(err)
	}
	changes := l.journal.Stats().Changes
	for range 100 {
		like(bob, true)
	}
	like(cat, true)
	for range 2 {
		like(bob, false)
	}
	if n := l.journal.Stats().Changes - changes; n != 103 {
		t.Fatalf("103 likes were %d changes", n)
	}
	_, err = l.Like(bob, "nope", true, journal.Key{}).Wait(t.Context())
	l.refused(err, chat.ErrNoPost)
	var want []string
	for _, n := range []string{"1", "2", "1"} {
		want = append(want, `post.likes {"post":"`+p.ID+`","likes":`+n+`}`+"\n")
	}
	if got := l.hears(chat.PostsTopic, e); got != strings.Join(want, "") {
		t.Fatalf("told %q", got)
	}
	if l.head(chat.PostsTopic) != 0 {
		t.Fatal("likes were kept")
	}
}
