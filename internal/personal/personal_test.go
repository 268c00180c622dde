package personal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/personal"
	"github.com/kabar-io/kabar/internal/retention"
	"github.com/kabar-io/kabar/internal/store"
	"github.com/kabar-io/kabar/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is accounts and chats on a folder that can be killed and opened again.
type world struct {
	t        *testing.T
	folder   string
	store    *store.Store
	journal  *journal.Journal
	accounts *account.Service
	chats    *chat.Service
	keeper   *retention.Service
	service  *personal.Service
	stop     func()
}

func open(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, folder: t.TempDir()}
	w.start()
	return w
}

func (w *world) start() {
	w.t.Helper()
	w.store, w.journal, w.stop = storetest.Start(w.t, w.folder)
	var err error
	w.accounts, err = account.New(account.Options{
		Journal: w.journal, Store: w.store.Accounts(), Key: bytes.Repeat([]byte("k"), 32), HashCost: account.HashCost{Memory: 64, Passes: 1, Threads: 1},
	})
	w.ok(err)
	w.chats, err = chat.New(chat.Options{Journal: w.journal, Store: w.store.Chats()})
	w.ok(err)
	w.keeper = retention.New(retention.Options{Journal: w.journal, Store: w.store.Retention()})
	w.service, err = personal.New(personal.Options{
		Journal: w.journal, Store: w.store.Erasures(), Accounts: w.accounts, Chats: w.chats, Soon: w.keeper.Soon,
	})
	w.ok(err)
}

// crash goes on with the files as they are at this moment.
func (w *world) crash() {
	w.t.Helper()
	folder := w.t.TempDir()
	for _, name := range []string{"kabar.db", "kabar.db-wal"} {
		b, err := os.ReadFile(filepath.Join(w.folder, name))
		w.ok(err)
		w.ok(os.WriteFile(filepath.Join(folder, name), b, 0o600))
	}
	w.stop()
	w.folder = folder
	w.start()
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// holds is which of the texts stand in the folder's files, capitals or not.
func (w *world) holds(texts ...string) (found []string) {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.folder, "*"))
	w.ok(err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		w.ok(err)
		b = bytes.ToLower(b)
		for _, text := range texts {
			if bytes.Contains(b, []byte(strings.ToLower(text))) {
				found = append(found, text+" in "+filepath.Base(f))
			}
		}
	}
	return found
}

func (w *world) register(name string) uint64 {
	w.t.Helper()
	u, err := w.accounts.Register(w.t.Context(), account.Registration{Email: name + "@example.org", Name: name, Password: "12345678"})
	w.ok(err)
	return u.ID
}

// until runs the eraser and the sweeper until nobody is being erased.
func (w *world) until(users ...uint64) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.ok(w.service.Run(ctx)) })
	deadline := time.Now().Add(time.Minute)
	for _, user := range users {
		for {
			e, ok, err := w.service.Erasure(ctx, user)
			if err != nil || !ok || time.Now().After(deadline) {
				cancel()
				w.t.Fatalf("erasing %d: %+v %v %v", user, e, ok, err)
			}
			if !e.Ended.IsZero() {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	cancel()
	wg.Wait()
	// What Run of the sweeper does when it is asked.
	ctx, cancel = context.WithCancel(w.t.Context())
	wg.Go(func() { w.ok(w.keeper.Run(ctx)) })
	for len(w.holds("a-private-secret")) > 0 && time.Now().Before(deadline) {
		w.keeper.Soon()
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	wg.Wait()
	w.ok(w.keeper.Pass(w.t.Context()))
}

func (w *world) befriend(a, b uint64) {
	w.t.Helper()
	_, err := w.chats.Request(w.t.Context(), a, b)
	w.ok(err)
	w.ok(w.chats.Accept(w.t.Context(), b, a))
}

func (w *world) send(m chat.Outgoing, ref string) string {
	w.t.Helper()
	key := journal.Key{}
	if ref != "" {
		key = journal.Key{Scope: "login/1", Ref: ref}
	}
	r, err := w.chats.Send(m, key).Wait(w.t.Context())
	w.ok(err)
	return r.Messages[0].ID
}

// secrets are what must be nowhere in the end: what she is called, and what she
// said. The others are what must stay.
var (
	secrets = []string{
		"Zofia.Q", "Zofia Quartz", "zofia@quartz", "Zofias-avatar", "about-Zofia",
		"a-private-secret", "an-edit-secret", "before-it-was-edited", "a-group-secret", "an-old-group-secret", "a-line-secret",
		"a-relayed-secret", "a-post-secret", "a-comment-secret", "a-ref-secret", "a-call-secret",
	}
	kept = []string{"bobs-private-words", "cats-group-words", "dans-old-group-words", "bobs-post", "bobs-line"}
)

// life is a person who did everything that one can do here.
type life struct{ zofia, bob, cat, dan, group, old uint64 }

func (w *world) live() (l life) {
	w.t.Helper()
	ctx := w.t.Context()
	l.bob = w.register("bob")
	u, err := w.accounts.Register(ctx, account.Registration{Email: "zofia@quartz.example", Name: "Zofia.Q", Password: "12345678"})
	w.ok(err)
	l.zofia, l.cat, l.dan = u.ID, w.register("cat"), w.register("dan")
	_, err = w.accounts.SetDisplay(ctx, l.zofia, "Zofia Quartz")
	w.ok(err)
	_, err = w.accounts.SetAbout(ctx, l.zofia, "about-Zofia")
	w.ok(err)
	w.ok(w.accounts.AddToGroup(ctx, "testers", l.zofia))
	w.befriend(l.zofia, l.bob)
	w.befriend(l.cat, l.zofia)
	_, err = w.chats.Request(ctx, l.zofia, l.dan)
	w.ok(err)
	w.ok(w.chats.Block(ctx, l.cat, l.zofia))
	w.send(chat.Outgoing{From: l.zofia, To: l.bob, Text: "a-private-secret"}, "a-ref-secret")
	w.send(chat.Outgoing{From: l.bob, To: l.zofia, Text: "bobs-private-words"}, "")
	id := w.send(chat.Outgoing{From: l.zofia, To: l.bob, Text: "before-it-was-edited"}, "")
	_, err = w.chats.Edit(ctx, l.zofia, chat.Place{User: l.bob}, id, "an-edit-secret", 0)
	w.ok(err)
	_, err = w.chats.ReadAll(l.zofia, chat.Place{User: l.bob}, 0, journal.Key{}).Wait(ctx)
	w.ok(err)
	_, err = w.chats.Relay(chat.RelayOut{From: l.zofia, Place: chat.Place{User: l.bob}, Payload: json.RawMessage(`{"x":"a-relayed-secret"}`)}, journal.Key{}).Wait(ctx)
	w.ok(err)
	w.ok(w.chats.RecordCall(ctx, l.zofia, l.bob, chat.Call{Key: "a-call-secret", Seconds: 3}))
	w.ok(w.chats.RecordCall(ctx, l.bob, l.zofia, chat.Call{Key: "bobs-call", Seconds: 3}))

	g, err := w.chats.CreateGroup(ctx, l.zofia, "hikers")
	w.ok(err)
	l.group = g.ID
	_, err = w.chats.Join(ctx, l.dan, g.ID, g.Link)
	w.ok(err)
	w.send(chat.Outgoing{From: l.zofia, Group: g.ID, Text: "a-group-secret"}, "")
	w.send(chat.Outgoing{From: l.dan, Group: g.ID, Text: "cats-group-words"}, "")
	// A group that she left before.
	g, err = w.chats.CreateGroup(ctx, l.dan, "readers")
	w.ok(err)
	l.old = g.ID
	_, err = w.chats.Join(ctx, l.zofia, g.ID, g.Link)
	w.ok(err)
	w.send(chat.Outgoing{From: l.zofia, Group: g.ID, Text: "an-old-group-secret"}, "")
	w.send(chat.Outgoing{From: l.dan, Group: g.ID, Text: "dans-old-group-words"}, "")
	w.ok(w.chats.Leave(ctx, l.zofia, g.ID))
	w.send(chat.Outgoing{From: l.dan, Group: g.ID, Text: "after-she-left"}, "")

	_, err = w.chats.Speak(chat.Speaker{User: l.zofia, Name: "Zofia Quartz"}, "a-line-secret", journal.Key{}).Wait(ctx)
	w.ok(err)
	_, err = w.chats.Speak(chat.Speaker{User: l.bob, Name: "bob"}, "bobs-line", journal.Key{}).Wait(ctx)
	w.ok(err)
	_, err = w.chats.NewPost(ctx, l.zofia, "a-post-secret")
	w.ok(err)
	p, err := w.chats.NewPost(ctx, l.bob, "bobs-post")
	w.ok(err)
	_, err = w.chats.AddComment(ctx, l.zofia, p.ID, "a-comment-secret")
	w.ok(err)
	_, err = w.chats.Like(l.zofia, p.ID, true, journal.Key{}).Wait(ctx)
	w.ok(err)
	return l
}

// TestErasedIsNowhere looks for all that somebody was called and said in the
// files, among other people before and after them: in the middle of pages that
// were split.
func TestErasedIsNowhere(t *testing.T) {
	w := open(t)
	for i := range 300 {
		w.register(fmt.Sprintf("early%d", i))
	}
	l := w.live()
	for i := range 300 {
		w.register(fmt.Sprintf("xavier%d", i))
		w.register(fmt.Sprintf("zz%d", i))
	}
	if found := w.holds(append(secrets, kept...)...); len(found) < len(secrets)-4 {
		t.Fatalf("the files hold only %q: this test finds nothing", found)
	}
	w.exported(l)
	token, _, _, err := w.accounts.Login(t.Context(), account.LoginRequest{Name: "zofia@quartz.example", Password: "12345678", Gateway: "direct"})
	w.ok(err)
	e, err := w.service.Erase(t.Context(), l.zofia)
	if err != nil || e.Begun.IsZero() || !e.Ended.IsZero() {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, _, err := w.accounts.Authenticate(t.Context(), token); !errors.Is(err, account.ErrLoginEnded) {
		t.Errorf("the login of before: %v", err)
	}
	w.until(l.zofia)
	if found := w.holds(secrets...); len(found) > 0 {
		t.Errorf("still there: %q", found)
	}
	w.others(l)
	if again, err := w.service.Erase(t.Context(), l.zofia); err != nil || !again.Begun.Equal(e.Begun) || again.Ended.IsZero() {
		t.Errorf("a second time: %+v, %v", again, err)
	}
	if _, err := w.service.Erase(t.Context(), 99999); !errors.Is(err, account.ErrUserNotFound) {
		t.Errorf("nobody: %v", err)
	}
	if err := w.accounts.Restore(t.Context(), l.zofia); !errors.Is(err, account.ErrErased) {
		t.Errorf("opened again: %v", err)
	}
	// The address and the handle are free, for somebody else.
	u, err := w.accounts.Register(t.Context(), account.Registration{Email: "zofia@quartz.example", Name: "Zofia.Q", Password: "12345678"})
	if err != nil || u.ID == l.zofia || u.Handle != "Zofia.Q" {
		t.Errorf("registered again: %+v, %v", u, err)
	}
}

// exported wants all that is hers in an export, each once, and of what others
// said what they said to her.
func (w *world) exported(l life) {
	w.t.Helper()
	var all bytes.Buffer
	seen := map[string]int{}
	err := w.service.Export(w.t.Context(), l.zofia, func(r personal.Record) error {
		if r.Message != nil {
			seen[r.Message.ID]++
		}
		return json.NewEncoder(&all).Encode(r)
	})
	w.ok(err)
	for id, n := range seen {
		if n != 1 {
			w.t.Errorf("message %s is there %d times", id, n)
		}
	}
	want := []string{"bobs-private-words", "cats-group-words", fmt.Sprintf(`"type":"person","person":{"id":%d,`, l.bob), `"standing":"friend"`, `"standing":"asked"`, `"name":"hikers","owner":true`, "testers"}
	for _, text := range append(want, secrets...) {
		switch text {
		case "before-it-was-edited", "Zofias-avatar", "a-ref-secret", "zofia@quartz":
			continue
		}
		if !strings.Contains(all.String(), text) {
			w.t.Errorf("%q is not exported", text)
		}
	}
	if text := all.String(); strings.Contains(text, "bobs-post") || strings.Contains(text, "bobs-line") || strings.Contains(text, "argon") || strings.Contains(text, "after-she-left") {
		w.t.Errorf("what is not hers is exported: %s", text)
	}
	if err := w.service.Export(w.t.Context(), 99999, nil); !errors.Is(err, account.ErrUserNotFound) {
		w.t.Errorf("nobody: %v", err)
	}
}

// others wants what other people said to be there, and what she said as deleted.
func (w *world) others(l life) {
	w.t.Helper()
	ctx := w.t.Context()
	if found := w.holds(kept...); len(found) < len(kept) {
		w.t.Errorf("of what others said only %q is there", found)
	}
	see := func(me uint64, p chat.Place) (lines []string) {
		w.t.Helper()
		ms, _, err := w.chats.History(ctx, me, p, 0, 100)
		w.ok(err)
		for _, m := range ms {
			if m.Sender.ID == l.zofia && (m.Sender != account.ErasedProfile(l.zofia) || !m.Deleted && m.Call == nil) {
				w.t.Errorf("hers is shown as %+v", m)
			}
			if !m.Deleted && m.Call == nil {
				lines = append(lines, m.Text)
			}
		}
		return lines
	}
	for _, c := range []struct {
		me   uint64
		at   chat.Place
		want string
	}{
		{l.bob, chat.Place{User: l.zofia}, "[bobs-private-words]"},
		{l.dan, chat.Place{Group: l.group}, "[cats-group-words]"},
		{l.dan, chat.Place{Group: l.old}, "[after-she-left dans-old-group-words]"},
	} {
		if got := fmt.Sprint(see(c.me, c.at)); got != c.want {
			w.t.Errorf("%+v reads %s, want %s", c.at, got, c.want)
		}
	}
	g, err := w.chats.Group(ctx, l.group)
	if err != nil || g.Owner != l.dan || g.Members != 1 {
		w.t.Errorf("her group: %+v, %v", g, err)
	}
	if fs, err := w.chats.Friends(ctx, l.bob); err != nil || len(fs) != 0 {
		w.t.Errorf("bob's friends: %+v, %v", fs, err)
	}
	if _, asked, err := w.chats.Requests(ctx, l.dan); err != nil || len(asked) != 0 {
		w.t.Errorf("who asked dan: %+v, %v", asked, err)
	}
	posts, _, err := w.chats.Posts(ctx, l.bob, 0, 10)
	if err != nil || len(posts) != 1 || posts[0].Text != "bobs-post" || posts[0].Likes != 0 || posts[0].Comments != 0 {
		w.t.Errorf("posts: %+v, %v", posts, err)
	}
	if _, err := w.journal.Read(ctx, account.Inbox(l.zofia), 0, 10); !errors.Is(err, journal.ErrExpired) {
		w.t.Errorf("her inbox: %v", err)
	}
	if at, err := w.chats.LastSeen(ctx, l.zofia); err != nil || !at.IsZero() {
		w.t.Errorf("last seen: %v, %v", at, err)
	}
}

// TestKilledMeanwhile kills the server at every point of the way: it goes on at
// the start, and comes to the same end.
func TestKilledMeanwhile(t *testing.T) {
	w := open(t)
	l := w.live()
	w.stop() // which stores the index, and with it the keys
	w.start()
	_, err := w.service.Erase(t.Context(), l.zofia)
	w.ok(err)
	w.crash()
	for range 12 { // each time a little further
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		commits := w.journal.Stats().Commits
		wg.Go(func() { w.ok(w.service.Run(ctx)) })
		for w.journal.Stats().Commits < commits+1 {
			if e, _, err := w.service.Erasure(ctx, l.zofia); err != nil || !e.Ended.IsZero() {
				break
			}
			time.Sleep(50 * time.Microsecond)
		}
		cancel()
		wg.Wait()
		w.crash()
	}
	w.until(l.zofia)
	if found := w.holds(secrets...); len(found) > 0 {
		t.Errorf("still there: %q", found)
	}
	w.others(l)
}
