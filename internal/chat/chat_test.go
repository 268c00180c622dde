package chat_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is chat with four people (ids 1 to 4) on a real journal and store.
type world struct {
	*chat.Service
	t        testing.TB
	journal  *journal.Journal
	accounts *account.Service
	chats    chat.Store
}

const ann, bob, cat, dan = 1, 2, 3, 4

var names = map[uint64]string{ann: "ann", bob: "bob", cat: "cat", dan: "dan"}

func start(t testing.TB, set ...func(*chat.Options)) *world {
	t.Helper()
	st, j, _ := storetest.Start(t, t.TempDir())
	w := &world{t: t, journal: j, chats: st.Chats()}
	var err error
	w.accounts, err = account.New(account.Options{
		Journal: j, Store: st.Accounts(), Key: bytes.Repeat([]byte("k"), 32), HashCost: account.HashCost{Memory: 64, Passes: 1, Threads: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	o := chat.Options{Journal: j, Store: st.Chats()}
	for _, f := range set {
		f(&o)
	}
	if w.Service, err = chat.New(o); err != nil {
		t.Fatal(err)
	}
	for id := uint64(1); id <= 4; id++ {
		u, err := w.accounts.Register(t.Context(), account.Registration{Email: names[id] + "@example.org", Name: names[id], Password: "12345678"})
		if err != nil || u.ID != id {
			t.Fatalf("%+v, %v", u, err)
		}
	}
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) refused(err, want error) {
	w.t.Helper()
	if !errors.Is(err, want) {
		w.t.Fatalf("got %v, want %v", err, want)
	}
}

func (w *world) request(me, other uint64) error {
	_, err := w.Request(w.t.Context(), me, other)
	return err
}

func (w *world) befriend(a, b uint64) {
	w.t.Helper()
	w.ok(w.request(a, b))
	w.ok(w.Accept(w.t.Context(), b, a))
}

func (w *world) send(from, to uint64, text string) error {
	_, err := w.Send(chat.Outgoing{From: from, To: to, Text: text}, journal.Key{}).Wait(w.t.Context())
	return err
}

// heard is what entered somebody's inbox, in words.
func (w *world) heard(user uint64) []string {
	w.t.Helper()
	ms, err := w.journal.Read(w.t.Context(), account.Inbox(user), 0, 1000)
	w.ok(err)
	var out []string
	for _, m := range ms {
		if m.Kind == chat.KindMessage {
			var d chat.MessageSent
			w.ok(json.Unmarshal(m.Data, &d))
			out = append(out, fmt.Sprintf("%s to %d: %s", d.Sender.Handle, d.To, d.Text))
			continue
		}
		var d chat.FriendEvent
		w.ok(json.Unmarshal(m.Data, &d))
		if m.From != d.By.ID {
			w.t.Fatalf("from %d, by %+v", m.From, d)
		}
		out = append(out, fmt.Sprintf("%s by %s, %s", m.Kind, d.By.Handle, d.User.Handle))
	}
	return out
}

func (w *world) people(us []account.User, err error) string {
	w.t.Helper()
	w.ok(err)
	var out []string
	for _, u := range us {
		if u.Password != "" {
			w.t.Fatal("a list gives a hash away")
		}
		s := u.Handle
		if u.Email != "" {
			s += "@"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func (w *world) lists(me uint64) string {
	sent, received, err := w.Requests(w.t.Context(), me)
	return fmt.Sprintf("friends %s, sent %s, received %s, blocked %s",
		w.people(w.Friends(w.t.Context(), me)), w.people(sent, err), w.people(received, nil), w.people(w.Blocked(w.t.Context(), me)))
}

func (w *world) want(me uint64, lists string) {
	w.t.Helper()
	if got := w.lists(me); got != lists {
		w.t.Fatalf("%s has: %s\nwant: %s", names[me], got, lists)
	}
}

// Both orders of ids must behave alike.
func eachWay(t *testing.T, f func(t *testing.T, w *world, me, other uint64)) {
	t.Helper()
	t.Run("smaller id first", func(t *testing.T) { f(t, start(t), ann, bob) })
	t.Run("greater id first", func(t *testing.T) { f(t, start(t), bob, ann) })
}

func TestBecomingFriends(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, me, other uint64) { //nolint:thelper // the test itself
		w.ok(w.request(me, other))
		w.want(me, "friends , sent "+names[other]+", received , blocked ")
		w.want(other, "friends , sent , received "+names[me]+", blocked ")
		w.refused(w.request(me, other), chat.ErrAlreadyRequested)
		w.refused(w.Accept(t.Context(), me, other), chat.ErrNoRequest)
		w.refused(w.Decline(t.Context(), me, other), chat.ErrNoRequest)
		w.refused(w.Cancel(t.Context(), other, me), chat.ErrNoRequest)
		w.refused(w.send(me, other, "hi"), chat.ErrNotFriends)
		w.ok(w.Accept(t.Context(), other, me))
		w.refused(w.Accept(t.Context(), other, me), chat.ErrAlreadyFriend)
		w.refused(w.request(me, other), chat.ErrAlreadyFriend)
		w.want(me, "friends "+names[other]+"@, sent , received , blocked ")
		w.want(other, "friends "+names[me]+"@, sent , received , blocked ")
		st, err := w.Standing(t.Context(), other, me)
		if err != nil || st != (chat.Standing{Friends: true, Room: 5}) {
			t.Fatalf("%+v, %v", st, err)
		}
		said := []string{
			"friend.requested by " + names[me] + ", " + names[other],
			"friend.accepted by " + names[other] + ", " + names[me],
		}
		for _, who := range []uint64{me, other} {
			if got := w.heard(who); !slices.Equal(got, said) {
				t.Fatalf("%s heard %q", names[who], got)
			}
		}
		w.refused(w.request(me, me), chat.ErrSelf)
		w.refused(w.request(me, 99), account.ErrUserNotFound)
		w.refused(w.Block(t.Context(), me, 99), account.ErrUserNotFound)
		w.refused(w.Unfriend(t.Context(), me, cat), chat.ErrNotFriends)
		w.refused(w.Unblock(t.Context(), me, other), chat.ErrNotBlocked)
	})
}

func TestARequestBothWaysIsAYes(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, me, other uint64) { //nolint:thelper // the test itself
		w.ok(w.request(other, me))
		if accepted, err := w.Request(t.Context(), me, other); err != nil || !accepted {
			t.Fatalf("%v, %v", accepted, err)
		}
		if got := w.heard(other); len(got) != 2 || got[1] != "friend.accepted by "+names[me]+", "+names[other] {
			t.Fatalf("heard %q", got)
		}
	})
}

func TestRequestsAtOnce(t *testing.T) {
	w := start(t)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			me, other := uint64(ann), uint64(bob)
			if i%2 == 0 {
				me, other = other, me
			}
			if err := w.request(me, other); err != nil && !errors.Is(err, chat.ErrAlreadyRequested) && !errors.Is(err, chat.ErrAlreadyFriend) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := w.heard(ann); len(got) != 2 || !strings.HasPrefix(got[0], "friend.requested") || !strings.HasPrefix(got[1], "friend.accepted") {
		t.Fatalf("heard %q", got)
	}
}

func TestEndings(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, me, other uint64) { //nolint:thelper // the test itself
		w.ok(w.request(me, other))
		w.ok(w.Cancel(t.Context(), me, other))
		w.ok(w.request(me, other))
		w.ok(w.Decline(t.Context(), other, me))
		w.befriend(me, other)
		w.ok(w.send(me, other, "hi"))
		w.ok(w.Unfriend(t.Context(), other, me))
		w.refused(w.send(me, other, "still there?"), chat.ErrNotFriends)
		w.want(me, "friends , sent , received , blocked ")
		got, want := w.heard(me), []string{
			"friend.requested", "friend.withdrawn", "friend.requested", "friend.declined", "friend.requested", "friend.accepted",
			names[me] + " to " + strconv.FormatUint(other, 10) + ": hi", "friend.ended",
		}
		for i := range want {
			if i >= len(got) || !strings.HasPrefix(got[i], want[i]) {
				t.Fatalf("heard %q", got)
			}
		}
		page, _, err := w.History(t.Context(), me, chat.Place{User: other}, 0, 10)
		if err != nil || len(page) != 1 {
			t.Fatalf("what was said is gone: %v, %v", page, err)
		}
		room := page[0].Room
		w.befriend(other, me)
		if st, _ := w.Standing(t.Context(), me, other); st.Room != room {
			t.Fatalf("friends again, in room %d instead of %d", st.Room, room)
		}
	})
}

func TestBlocks(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, me, other uint64) { //nolint:thelper // the test itself
		w.befriend(me, other)
		before := len(w.heard(other))
		w.ok(w.Block(t.Context(), me, other))
		w.ok(w.Block(t.Context(), me, other))
		w.refused(w.send(other, me, "hi"), chat.ErrBlocked)
		w.refused(w.send(me, other, "hi"), chat.ErrBlocking)
		w.want(me, "friends , sent , received , blocked "+names[other])
		w.want(other, "friends "+names[me]+", sent , received , blocked ")
		w.refused(w.request(other, me), chat.ErrAlreadyFriend) // as ever: a block does not show
		if st, err := w.Standing(t.Context(), other, me); err != nil || st.Open() {
			t.Fatalf("%+v, %v", st, err)
		}
		w.ok(w.Block(t.Context(), other, me))
		w.ok(w.Unblock(t.Context(), me, other))
		w.refused(w.send(me, other, "hi"), chat.ErrBlocked)
		w.ok(w.Unblock(t.Context(), other, me))
		if got := w.heard(other); len(got) != before {
			t.Fatalf("heard of the block: %q", got[before:])
		}
		w.ok(w.send(me, other, "hi"))

		w.ok(w.request(me, cat))
		w.ok(w.request(dan, me))
		for _, who := range []uint64{cat, dan} {
			w.ok(w.Block(t.Context(), me, who))
			w.refused(w.Accept(t.Context(), me, who), chat.ErrNoRequest)
			w.refused(w.Accept(t.Context(), who, me), chat.ErrNoRequest)
			w.refused(w.request(me, who), chat.ErrBlocking)
			w.refused(w.request(who, me), chat.ErrBlocked)
			w.ok(w.Unblock(t.Context(), me, who))
			if st, err := w.Standing(t.Context(), me, who); err != nil || st != (chat.Standing{}) {
				t.Fatalf("strangers have %+v, %v", st, err)
			}
			w.befriend(who, me)
		}
		w.ok(w.Block(t.Context(), me, cat))
		w.ok(w.Unfriend(t.Context(), me, cat))
		if got := w.heard(cat); !strings.HasPrefix(got[len(got)-1], "friend.accepted") {
			t.Fatalf("the blocked one was told: %q", got)
		}
	})
}

func TestAddressesAreForFriends(t *testing.T) {
	w := start(t)
	w.befriend(ann, bob)
	for other, shown := range map[uint64]bool{ann: true, bob: true, cat: false} {
		u, err := w.accounts.User(t.Context(), other)
		w.ok(err)
		u, err = w.SeenBy(t.Context(), ann, u)
		if err != nil || u.Password != "" || (u.Email != "") != shown {
			t.Errorf("ann sees %+v, %v", u, err)
		}
	}
}

func TestSend(t *testing.T) {
	w := start(t)
	w.befriend(ann, bob)
	k := journal.Key{Scope: "login/7", Ref: "r"}
	var first journal.Result
	for i := range 3 {
		r, err := w.Send(chat.Outgoing{From: bob, To: ann, Login: 7, Text: "hi <ann>"}, k).Wait(t.Context())
		w.ok(err)
		if i == 0 {
			first = r
		}
		if r.Repeated != (i > 0) || r.Messages[0].ID != first.Messages[0].ID {
			t.Fatalf("%d: %+v", i, r)
		}
	}
	m := first.Messages[0]
	if m.Kind != chat.KindMessage || m.From != bob || m.Except != 7 || m.Seq(chat.RoomTopic(5)) != 1 || m.Seq(account.Inbox(ann)) != 3 || m.Seq(account.Inbox(bob)) != 3 || len(m.Entries) != 3 {
		t.Fatalf("said %+v", m)
	}
	const want = `{"room":5,"to":1,"text":"hi \u003cann\u003e","sender":{"id":2,"handle":"bob","name":"bob"},"receiver":{"id":1,"handle":"ann","name":"ann"}}`
	if string(m.Data) != want {
		t.Fatalf("said %s", m.Data)
	}
	w.refused(w.send(ann, bob, ""), chat.ErrTextRequired)
	w.refused(w.send(ann, bob, "\xff"), chat.ErrTextInvalid)
	w.refused(w.send(ann, bob, strings.Repeat("x", 1<<15)), chat.ErrTextTooLong)
	for _, to := range []uint64{ann, cat, 99, 0} {
		w.refused(w.send(ann, to, "hi"), chat.ErrNotFriends)
	}
	w.ok(w.accounts.Suspend(t.Context(), ann))
	w.refused(w.send(ann, bob, "hi"), account.ErrSuspended)
}

func TestHistory(t *testing.T) {
	w := start(t)
	if page, next, err := w.History(t.Context(), ann, chat.Place{User: bob}, 0, 10); err != nil || page != nil || next != 0 {
		t.Fatalf("strangers: %v %d %v", page, next, err)
	}
	w.befriend(ann, bob)
	var last *journal.Pending
	for i := range 25 {
		from, to := uint64(ann), uint64(bob)
		if i%3 == 0 {
			from, to = to, from
		}
		last = w.Send(chat.Outgoing{From: from, To: to, Text: strconv.Itoa(i)}, journal.Key{})
	}
	_, err := last.Wait(t.Context())
	w.ok(err)
	var texts []string
	pages, cursor := 0, uint64(0)
	for {
		page, next, err := w.History(t.Context(), bob, chat.Place{User: ann}, cursor, 10)
		w.ok(err)
		pages++
		for _, m := range page {
			texts = append(texts, m.Text)
			if m.ID == "" || m.Time.IsZero() || m.Sender.ID+m.To != ann+bob {
				t.Fatalf("%+v", m)
			}
		}
		w.ok(w.send(ann, bob, "meanwhile"))
		if cursor = next; next == 0 {
			break
		}
	}
	if pages != 3 || len(texts) != 25 || texts[0] != "24" || texts[24] != "0" {
		t.Fatalf("%d pages: %q", pages, texts)
	}
	if page, _, err := w.History(t.Context(), cat, chat.Place{User: bob}, 0, 10); err != nil || page != nil {
		t.Fatalf("cat reads %v, %v", page, err)
	}
}

func BenchmarkSend(b *testing.B) {
	w := start(b)
	w.befriend(ann, bob)
	b.ReportAllocs()
	b.ResetTimer()
	var last *journal.Pending
	for i := range b.N {
		last = w.Send(chat.Outgoing{From: ann, To: bob, Login: 1, Text: "how are you today, and what is the news?"}, journal.Key{})
		if i%10000 == 9999 {
			if _, err := last.Wait(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	if _, err := last.Wait(b.Context()); err != nil {
		b.Fatal(err)
	}
}
