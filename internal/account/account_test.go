package account_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/remote"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/store"
	"github.com/kabar-io/kabar/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var key = bytes.Repeat([]byte("k"), 32)

// world is accounts on a real journal and store, until stop.
type world struct {
	*account.Service
	t       testing.TB
	store   *store.Store
	journal *journal.Journal
	ahead   atomic.Int64 // how far its clock is ahead
	stop    func()
}

func (w *world) later(d time.Duration) { w.ahead.Add(int64(d)) }

func start(t testing.TB, folder string, o account.Options) *world {
	t.Helper()
	st, j, stop := storetest.Start(t, folder)
	w := &world{t: t, store: st, journal: j, stop: stop}
	o.Journal, o.Key = j, key
	if o.Store == nil {
		o.Store = st.Accounts()
	} else if h, ok := o.Store.(*held); ok {
		h.Store = st.Accounts()
	}
	if o.HashCost == (account.HashCost{}) {
		o.HashCost = account.HashCost{Memory: 64, Passes: 1, Threads: 1}
	}
	o.Now = func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }
	var err error
	if w.Service, err = account.New(o); err != nil {
		t.Fatal(err)
	}
	return w
}

const password = "correct horse"

func (w *world) user(name string) account.User {
	w.t.Helper()
	u, err := w.Register(w.t.Context(), account.Registration{Email: strings.ReplaceAll(name, " ", ".") + "@example.org", Name: name, Password: password})
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

func (w *world) login(name string) (string, account.Login) {
	w.t.Helper()
	token, _, l, err := w.Login(w.t.Context(), account.LoginRequest{Name: name, Password: password, Gateway: "direct"})
	if err != nil {
		w.t.Fatal(err)
	}
	return token, l
}

func (w *world) inbox(user uint64) []*journal.Message {
	w.t.Helper()
	ms, err := w.journal.Read(w.t.Context(), account.Inbox(user), 0, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	return ms
}

// same compares users, who have a list in them.
func same(a, b account.User) bool { return reflect.DeepEqual(a, b) }

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

func TestRegister(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	for i, c := range []struct{ name, display, handle string }{
		{"ann", "ann", "ann"},
		{"ANN", "ANN", "u2"},
		{" Budi Santoso ", "Budi Santoso", "u3"},
		{"u1", "u1", "u4"},
		{"U77", "U77", "u5"},
		{"u7x", "u7x", "u7x"},
		{"yu", "yu", "u7"},
		{strings.Repeat("é", 35), strings.Repeat("é", 35), "u8"},
		{"a.b_9", "a.b_9", "a.b_9"},
	} {
		u, err := w.Register(t.Context(), account.Registration{Email: fmt.Sprintf(" Someone%d@Example.org", i), Name: c.name, Password: "12345678"})
		if err != nil || u.ID != uint64(i+1) || u.Display != c.display || u.Handle != c.handle {
			t.Fatalf("%q became %+v, %v", c.name, u, err)
		}
		for _, find := range []func() (account.User, error){
			func() (account.User, error) { return w.User(t.Context(), u.ID) },
			func() (account.User, error) {
				return w.UserByEmail(t.Context(), fmt.Sprintf("sOMEONE%d@EXAMPLE.org ", i))
			},
			func() (account.User, error) { return w.UserByHandle(t.Context(), strings.ToUpper(c.handle)) },
		} {
			if got, err := find(); err != nil || !same(got, u) {
				t.Fatalf("found %+v, %v; want %+v", got, err, u)
			}
		}
	}
	for _, name := range []string{"budi  SANTOSO", "Ann", "U3"} {
		if taken, err := w.NameTaken(t.Context(), name); err != nil || !taken {
			t.Errorf("%q is free, %v", name, err)
		}
	}
	if taken, err := w.NameTaken(t.Context(), "nobody"); err != nil || taken {
		t.Errorf("nobody is taken, %v", err)
	}
	_, err := w.User(t.Context(), 99)
	wantErr(t, err, account.ErrUserNotFound)
}

func TestRegisterRefuses(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	w.user("ann")
	for _, c := range []struct{ email, name, password, reason string }{
		{"ANN@example.ORG", "x y", password, "ALREADY_REGISTERED"},
		{"", "bob", password, "EMAIL_INVALID"},
		{"bob", "bob", password, "EMAIL_INVALID"},
		{"Bob <bob@example.org>", "bob", password, "EMAIL_INVALID"},
		{"bob@" + strings.Repeat("a", 255), "bob", password, "EMAIL_INVALID"},
		{"bob@example.org\r\nBcc: x@y", "bob", password, "EMAIL_INVALID"},
		{"bob@example.org", " \t", password, "NAME_INVALID"},
		{"bob@example.org", "  ", password, "NAME_REQUIRED"},
		{"bob@example.org", "\u200d", password, "NAME_INVALID"},
		{"bob@example.org", "bob\u202egnp", password, "NAME_INVALID"},
		{"bob@example.org", "b\x00b", password, "NAME_INVALID"},
		{"bob@example.org", "b\xffb", password, "NAME_INVALID"},
		{"bob@example.org", strings.Repeat("é", 36), password, "NAME_TOO_LONG"},
		{"bob@example.org", "bob", "1234567", "PASSWORD_TOO_SHORT"},
		{"bob@example.org", "bob", strings.Repeat("x", 1025), "PASSWORD_TOO_LONG"},
		{"bob@example.org", "bob", "12345678\xff", "PASSWORD_INVALID"},
	} {
		_, err := w.Register(t.Context(), account.Registration{Email: c.email, Name: c.name, Password: c.password})
		if got := status.Of(err); got == nil || got.Reason != c.reason {
			t.Errorf("%q %q %q gave %v, want %s", c.email, c.name, c.password, err, c.reason)
		}
	}
}

func TestOneAddressIsRegisteredOnce(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	var wg sync.WaitGroup
	var made, refused atomic.Int32
	for range 20 {
		wg.Go(func() {
			_, err := w.Register(t.Context(), account.Registration{Email: "ann@example.org", Name: "ann", Password: password})
			switch {
			case err == nil:
				made.Add(1)
			case errors.Is(err, account.ErrAlreadyRegistered):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 || refused.Load() != 19 {
		t.Fatalf("%d made, %d refused", made.Load(), refused.Load())
	}
}

func TestProfile(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	ann, bob := w.user("ann"), w.user("Bob B")
	u, err := w.SetDisplay(t.Context(), ann.ID, "annie")
	if err != nil || u.Display != "annie" || u.Handle != "ann" {
		t.Fatalf("a chosen handle: %+v, %v", u, err)
	}
	if u, err = w.SetDisplay(t.Context(), bob.ID, "ANN"); err != nil || u.Display != "ANN" || u.Handle != "u2" {
		t.Fatalf("a taken handle: %+v, %v", u, err)
	}
	if u, err = w.SetDisplay(t.Context(), bob.ID, "bob"); err != nil || u.Display != "bob" || u.Handle != "bob" {
		t.Fatalf("a first handle: %+v, %v", u, err)
	}
	if u, err = w.SetAbout(t.Context(), bob.ID, " two\r\nlines "); err != nil || u.About != "two\nlines" {
		t.Fatalf("about: %+v, %v", u, err)
	}
	if again, err := w.User(t.Context(), bob.ID); err != nil || !same(again, u) {
		t.Fatalf("kept %+v, %v", again, err)
	}
	for about, reason := range map[string]string{strings.Repeat("x", 201): "ABOUT_TOO_LONG", "a\x07": "ABOUT_INVALID"} {
		if _, err := w.SetAbout(t.Context(), bob.ID, about); status.Of(err).Reason != reason {
			t.Errorf("%q gave %v", about, err)
		}
	}
	_, err = w.SetDisplay(t.Context(), 99, "x")
	wantErr(t, err, account.ErrUserNotFound)
}

func TestAHashDoesNotPrint(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	u := w.user("ann")
	if s := fmt.Sprintf("%v %+v %#v %s", u, u, u, u.Password); strings.Contains(s, "argon2id") {
		t.Fatal(s)
	}
	if !strings.HasPrefix(string(u.Password), "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Fatal("not a PHC string")
	}
}

func TestLimitsByAddress(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{Limits: account.Limits{
		Registrations: account.Limit{N: 2, Per: time.Minute}, Logins: account.Limit{N: 2, Per: time.Minute}, RefusedCodes: account.Limit{N: 2, Per: time.Minute},
	}})
	w.user("ann")
	register := func(i int, from string) error {
		_, err := w.Register(t.Context(), account.Registration{Email: fmt.Sprintf("x%d@example.org", i), Name: "x", Password: password, Address: remote.Parse(from)})
		return err
	}
	login := func(_ int, from string) error {
		_, _, _, err := w.Login(t.Context(), account.LoginRequest{Name: "ann", Password: password, Address: remote.Parse(from)})
		return err
	}
	code := func(_ int, from string) error {
		_, _, err := w.Spend(t.Context(), "nonsense", remote.Parse(from))
		if errors.Is(err, account.ErrCodeInvalid) {
			return nil
		}
		return err
	}
	for i, c := range []struct {
		try  func(int, string) error
		want error
	}{{register, account.ErrTooManyRegistrations}, {login, account.ErrTooManyLogins}, {code, account.ErrTooManyCodes}} {
		for n, from := range []string{"192.0.2.1:1", "192.0.2.1:5050", "[2001:db8::1]:1", "[2001:db8::2]:443", "[2001:db8:0:1::1]:1", "[::1]:1", "[::1]:2"} {
			if err := c.try(10*i+n, from); err != nil {
				t.Fatal(from, err)
			}
		}
		for _, from := range []string{"192.0.2.1:2", "[::ffff:192.0.2.1]:1", "[2001:db8::3]:1", "[::1]:3"} {
			wantErr(t, c.try(10*i+9, from), c.want)
		}
		for range 3 {
			_ = c.try(10*i+8, "") // the server's own way in is not limited
		}
		w.later(31 * time.Second)
		if err := c.try(10*i+9, "192.0.2.1:1"); err != nil {
			t.Fatal("half a minute later:", err)
		}
		wantErr(t, c.try(10*i+9, "192.0.2.1:1"), c.want)
		w.later(time.Hour)
	}
}

func TestNotices(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	ann, bob := w.user("ann"), w.user("bob")
	if err := w.Suspend(t.Context(), w.user("cat").ID); err != nil {
		t.Fatal(err)
	}
	k := journal.Key{Scope: "admin", Ref: "1"}
	for range 2 {
		if _, err := w.Notify(ann.ID, "hello <ann>", k).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r, err := w.NotifyAll("hello", journal.Key{}).Wait(t.Context())
	if err != nil || len(r.Messages) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	m := r.Messages[0]
	if m.Kind != account.KindNotice || m.Seq("feed") != 1 || m.Seq(account.Inbox(ann.ID)) != 2 || m.Seq(account.Inbox(bob.ID)) != 1 || len(m.Entries) != 3 {
		t.Fatalf("said %+v", m)
	}
	if string(m.Data) != `{"text":"hello","all":true}` {
		t.Fatalf("data %s", m.Data)
	}
	_, err = w.Notify(99, "x", journal.Key{}).Wait(t.Context())
	wantErr(t, err, account.ErrUserNotFound)
	for text, reason := range map[string]string{"": "TEXT_REQUIRED", "\xff": "TEXT_INVALID", strings.Repeat("x", 4001): "TEXT_TOO_LONG"} {
		if _, err := w.NotifyAll(text, journal.Key{}).Wait(t.Context()); status.Of(err).Reason != reason {
			t.Errorf("%q gave %v", text, err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	st := struct{ account.Store }{}
	for _, o := range []account.Options{
		{},
		{Journal: w.journal, Store: st, Key: key[:31]},
		{Journal: w.journal, Store: st, Key: key, CodeTTL: -1},
		{Journal: w.journal, Store: st, Key: key, HashCost: account.HashCost{Memory: 64}},
	} {
		if _, err := account.New(o); err == nil {
			t.Errorf("taken: %+v", o)
		}
	}
}
