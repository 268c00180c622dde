package account_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/remote"
	"github.com/kabar-io/kabar/internal/status"
)

// statements is how many f needs.
func (w *world) statements(f func() error) uint64 {
	w.t.Helper()
	written, read := w.store.Statements()
	if err := f(); err != nil {
		w.t.Fatal(err)
	}
	writtenThen, readThen := w.store.Statements()
	return writtenThen + readThen - written - read
}

func (w *world) authenticates(token string) func() error {
	return func() error {
		_, _, err := w.Authenticate(w.t.Context(), token)
		return err
	}
}

func TestALoginIsReadOnce(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	w.user("ann")
	token, l := w.login("ann")
	if n := w.statements(w.authenticates(token)); n != 1 {
		t.Errorf("the first time took %d statements", n)
	}
	if n := w.statements(w.authenticates(token)); n != 0 {
		t.Errorf("the second time took %d statements", n)
	}
	for range 2 {
		code, _ := w.Issue(l)
		n := w.statements(func() error {
			_, _, err := w.Spend(t.Context(), code, remote.Addr{})
			return err
		})
		if n != 0 {
			t.Errorf("a code took %d statements", n)
		}
	}
	commits := w.journal.Stats().Commits
	secret, _ := w.ticket(l, false)
	n := w.statements(func() error {
		_, _, _, err := w.TicketLogin(t.Context(), secret)
		return err
	})
	if n != 0 || w.journal.Stats().Commits != commits+1 {
		t.Errorf("a new ticket took %d statements", n)
	}
	w.later(2 * time.Minute)
	if n := w.statements(w.authenticates(token)); n != 1 {
		t.Errorf("after a while it took %d statements", n)
	}
	code, _ := w.Issue(l)
	w.later(-2 * time.Minute) // a clock that is set back
	n = w.statements(func() error {
		_, _, err := w.Spend(t.Context(), code, remote.Addr{})
		return err
	})
	if n != 1 {
		t.Errorf("with another clock it took %d statements", n)
	}
}

func TestALoginEndsInMemoryToo(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{LoginIdle: 20 * time.Second})
	w.user("ann")
	token, _ := w.login("ann")
	if err := w.authenticates(token)(); err != nil {
		t.Fatal(err)
	}
	w.later(21 * time.Second)
	wantErr(t, w.authenticates(token)(), account.ErrLoginEnded)
}

// TestAChangeIsSeenAtOnce: whoever has changed something is answered when
// everybody sees it, known in memory or not.
func TestAChangeIsSeenAtOnce(t *testing.T) {
	for name, c := range changes() {
		t.Run(name, func(t *testing.T) {
			k := known{mails: &postman{}}
			w := start(t, t.TempDir(), account.Options{Mailer: k.mails})
			k.user = w.user("ann")
			k.token, k.login = w.login("ann")
			k.code, _ = w.Issue(k.login)
			k.secret, k.ticket = w.ticket(k.login, false)
			w.goodTicket(k.secret, k.ticket)
			if err := w.authenticates(k.token)(); err != nil {
				t.Fatal(err)
			}
			if err := c.do(w, k); err != nil {
				t.Fatal(err)
			}
			c.then(w, k)
		})
	}
}

// known is a login that is in memory.
type known struct {
	mails               *postman
	token, code, secret string
	user                account.User
	login               account.Login
	ticket              account.Ticket
}

// ended and shows are what is then: nothing that rests on the login opens
// anything, or everything shows its user as they are.
func ended(w *world, k known) {
	w.t.Helper()
	_, _, err := w.Authenticate(w.t.Context(), k.token)
	wantErr(w.t, err, account.ErrLoginEnded)
	_, _, err = w.Spend(w.t.Context(), k.code, remote.Addr{})
	wantErr(w.t, err, account.ErrLoginEnded)
	w.refusedTicket(k.secret)
}

func shows(w *world, k known) {
	w.t.Helper()
	now, err := w.User(w.t.Context(), k.login.User)
	if err != nil || same(now, k.user) {
		w.t.Fatalf("%+v is as before, %v", now, err)
	}
	for _, find := range []func() (account.User, error){
		func() (account.User, error) { u, _, err := w.Authenticate(w.t.Context(), k.token); return u, err },
		func() (account.User, error) {
			u, _, err := w.Spend(w.t.Context(), k.code, remote.Addr{})
			return u, err
		},
		func() (account.User, error) { u, _, _, err := w.TicketLogin(w.t.Context(), k.secret); return u, err },
	} {
		if u, err := find(); err != nil || !same(u, now) {
			w.t.Errorf("%+v, %v", u, err)
		}
	}
}

// change is something that is done, and what is then.
type change struct {
	do   func(*world, known) error
	then func(*world, known)
}

func changes() map[string]change {
	return map[string]change{
		"logged out": {func(w *world, k known) error { return w.Logout(w.t.Context(), k.login) }, ended},
		"suspended":  {func(w *world, k known) error { return w.Suspend(w.t.Context(), k.login.User) }, ended},
		"the address is proven": {func(w *world, k known) error {
			_, _, _, _, err := w.LoginByCode(w.t.Context(), account.CodeLogin{Email: "ann@example.org", Code: w.mailCode(k.mails, "ann@example.org"), Gateway: "relay"})
			return err
		}, ended},
		"over": {func(w *world, _ known) error { w.later(8 * 24 * time.Hour); return nil }, func(w *world, k known) {
			_, _, err := w.Authenticate(w.t.Context(), k.token)
			wantErr(w.t, err, account.ErrLoginEnded)
			w.refusedTicket(k.secret)
		}},
		"swept": {func(w *world, _ known) error {
			w.later(8 * 24 * time.Hour)
			_, _, _, err := w.Login(w.t.Context(), account.LoginRequest{Name: "ann", Password: password})
			w.later(-8 * 24 * time.Hour)
			return err
		}, ended},
		"another name": {func(w *world, k known) error {
			_, err := w.SetDisplay(w.t.Context(), k.login.User, "Ann B")
			return err
		}, shows},
		"another password": {func(w *world, k known) error {
			return w.SetPassword(w.t.Context(), k.login, password, "another horse")
		}, shows},
		"badges": {func(w *world, k known) error {
			_, err := w.SetBadges(w.t.Context(), k.login.User, []int{7})
			return err
		}, shows},
		"another ticket": {func(w *world, k known) error {
			_, _, err := w.OpenTicket(w.t.Context(), k.login, false)
			return err
		}, func(w *world, k known) { w.refusedTicket(k.secret) }},
		"a ticket of another login, alone": {func(w *world, _ known) error {
			_, other := w.login("ann")
			_, _, err := w.OpenTicket(w.t.Context(), other, true)
			return err
		}, func(w *world, k known) { w.refusedTicket(k.secret) }},
	}
}

// held is a store that can be slow to hand over what it has read.
type held struct {
	account.Store
	hold atomic.Pointer[pause]
}

type pause struct{ read, on chan struct{} }

func (h *held) wait() {
	if p := h.hold.Swap(nil); p != nil {
		close(p.read)
		<-p.on
	}
}

func (h *held) LoginByToken(ctx context.Context, hash []byte) (account.User, account.Login, bool, error) {
	defer h.wait()
	return h.Store.LoginByToken(ctx, hash)
}

func (h *held) Login(ctx context.Context, id uint64) (account.User, account.Login, bool, error) {
	defer h.wait()
	return h.Store.Login(ctx, id)
}

func (h *held) LoginByTicket(ctx context.Context, hash []byte) (account.User, account.Login, account.Ticket, bool, error) {
	defer h.wait()
	return h.Store.LoginByTicket(ctx, hash)
}

// TestWhatWasReadBeforeALogoutIsNotKeptAfterIt: somebody reads a login, it is
// logged out and that is answered, and only then is what was read at hand.
func TestWhatWasReadBeforeALogoutIsNotKeptAfterIt(t *testing.T) {
	for name, find := range map[string]func(w *world, k known) error{
		"token": func(w *world, k known) error { _, _, err := w.Authenticate(w.t.Context(), k.token); return err },
		"code": func(w *world, k known) error {
			code, err := w.Issue(k.login)
			if err == nil {
				_, _, err = w.Spend(w.t.Context(), code, remote.Addr{})
			}
			return err
		},
		"ticket": func(w *world, k known) error { _, _, _, err := w.TicketLogin(w.t.Context(), k.secret); return err },
	} {
		t.Run(name, func(t *testing.T) {
			h := &held{}
			w := start(t, t.TempDir(), account.Options{Store: h})
			w.user("ann")
			var k known
			k.token, k.login = w.login("ann")
			k.secret, k.ticket = w.ticket(k.login, false)
			w.later(2 * time.Minute) // what is in memory is forgotten
			p := &pause{make(chan struct{}), make(chan struct{})}
			h.hold.Store(p)
			early := make(chan error, 1)
			go func() { early <- find(w, k) }()
			<-p.read
			if err := w.Logout(t.Context(), k.login); err != nil {
				t.Fatal(err)
			}
			close(p.on)
			if err := <-early; err != nil {
				t.Fatal("whoever came before it was let in then, and is put out by the message:", err)
			}
			if err := find(w, k); status.Of(err).Code != status.Unauthenticated {
				t.Fatal("after the logout:", err)
			}
		})
	}
}

func TestAUseIsKeptInMind(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	w.user("ann")
	token, l := w.login("ann")
	w.later(2 * time.Hour)
	_, moved, err := w.Authenticate(t.Context(), token)
	if err != nil || !moved.Expires.After(l.Expires) {
		t.Fatalf("%+v, %v", moved, err)
	}
	if err := w.Restore(t.Context(), l.User); err != nil { // a change that comes after it
		t.Fatal(err)
	}
	n := w.statements(func() error {
		_, again, err := w.Authenticate(t.Context(), token)
		if again != moved {
			t.Errorf("%+v, want %+v", again, moved)
		}
		return err
	})
	if n != 0 {
		t.Errorf("a login that was moved took %d statements", n)
	}
}

func TestLiveLoginsAreBounded(t *testing.T) {
	if n := account.FillLive(3 * account.MaxLive); n == 0 || n > account.MaxLive {
		t.Fatalf("%d are in memory", n)
	}
}
