package account_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/remote"
	"github.com/kabar-io/kabar/internal/status"
)

func TestOfAHundredOneWins(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	ann := w.user("ann")
	_, l := w.login("ann")
	code, err := w.Issue(l)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var won, spent atomic.Int32
	for range 100 {
		wg.Go(func() {
			u, got, err := w.Spend(t.Context(), code, remote.Parse("192.0.2.1:1"))
			switch {
			case err == nil && same(u, ann) && got == l:
				won.Add(1)
			case errors.Is(err, account.ErrCodeSpent):
				spent.Add(1)
			default:
				t.Errorf("%+v %+v %v", u, got, err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || spent.Load() != 99 {
		t.Fatalf("%d won, %d were too late", won.Load(), spent.Load())
	}
}

// What a process issued ends with it, used or not: nothing can be used twice.
func TestCodesEndWithTheProcess(t *testing.T) {
	folder := t.TempDir()
	w := start(t, folder, account.Options{})
	w.user("ann")
	token, l := w.login("ann")
	spent, _ := w.Issue(l)
	fresh, _ := w.Issue(l)
	if _, _, err := w.Spend(t.Context(), spent, remote.Addr{}); err != nil {
		t.Fatal(err)
	}
	w.stop()
	w = start(t, folder, account.Options{})
	for name, code := range map[string]string{"spent": spent, "fresh": fresh} {
		if _, _, err := w.Spend(t.Context(), code, remote.Addr{}); status.Of(err).Code != status.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, l, err := w.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	next, _ := w.Issue(l)
	if _, _, err := w.Spend(t.Context(), next, remote.Addr{}); err != nil {
		t.Fatal("one that was asked for after it:", err)
	}
}

func TestCodesExpire(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	w.user("ann")
	_, l := w.login("ann")
	code, _ := w.Issue(l)
	late, _ := w.Issue(l)
	if _, _, err := w.Spend(t.Context(), code, remote.Addr{}); err != nil {
		t.Fatal(err)
	}
	w.later(61 * time.Second)
	_, _, err := w.Spend(t.Context(), code, remote.Addr{})
	wantErr(t, err, account.ErrCodeExpired)
	_, _, err = w.Spend(t.Context(), late, remote.Addr{})
	wantErr(t, err, account.ErrCodeExpired)
	w.later(time.Hour) // long after they were taken out
	next, _ := w.Issue(l)
	if _, _, err := w.Spend(t.Context(), next, remote.Addr{}); err != nil {
		t.Fatal(err)
	}
	for _, old := range []string{code, late} {
		_, _, err = w.Spend(t.Context(), old, remote.Addr{})
		wantErr(t, err, account.ErrCodeExpired)
	}
}

func TestCodesAreBounded(t *testing.T) {
	of, all := account.FillCodes(3*account.MaxCodes, 2*account.MaxCodesOfUser)
	if of != account.MaxCodesOfUser || all > account.MaxCodes || all < account.MaxCodes-1 {
		t.Fatalf("%d of one user wait, and %d of all", of, all)
	}
	w := start(t, t.TempDir(), account.Options{})
	w.user("ann")
	_, l := w.login("ann")
	oldest, _ := w.Issue(l)
	second, _ := w.Issue(l)
	for range account.MaxCodesOfUser - 1 {
		if _, err := w.Issue(l); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := w.Spend(t.Context(), oldest, remote.Addr{}); status.Of(err).Code != status.Unauthenticated {
		t.Fatal("the oldest did not give way:", err)
	}
	if _, _, err := w.Spend(t.Context(), second, remote.Addr{}); err != nil {
		t.Fatal(err)
	}
}

// TestManyLoginsEvictNobodyElse: one person's logins, of which each asks for as
// many codes as a person may have, push out their own and no other's.
func TestManyLoginsEvictNobodyElse(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{CodeTTL: time.Hour})
	w.user("ann")
	w.user("bob")
	_, ann := w.login("ann")
	_, bob := w.login("bob")
	code, err := w.Issue(ann)
	if err != nil {
		t.Fatal(err)
	}
	for n := range account.MaxCodes/account.MaxCodesOfUser + 1 {
		l := account.Login{ID: bob.ID + uint64(n), User: bob.User}
		for range account.MaxCodesOfUser {
			if _, err := w.Issue(l); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, l, err := w.Spend(t.Context(), code, remote.Addr{}); err != nil || l != ann {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestBadCodes(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	w.user("ann")
	_, l := w.login("ann")
	sign := func(change func(jwt.MapClaims)) string {
		c := jwt.MapClaims{"authID": "x", "userID": l.User, "login": l.ID, "aud": "kabar.code", "exp": time.Now().Add(61 * time.Second).Unix()}
		change(c)
		s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := sign(func(jwt.MapClaims) {})
	for name, c := range map[string]struct {
		code string
		want error
	}{
		"empty":   {"", account.ErrCodeInvalid},
		"cut":     {good[:len(good)-1], account.ErrCodeInvalid},
		"text":    {strings.Repeat("a.b.c", 3), account.ErrCodeInvalid},
		"no id":   {sign(func(c jwt.MapClaims) { c["authID"] = "" }), account.ErrCodeInvalid},
		"text id": {sign(func(c jwt.MapClaims) { c["userID"] = "1" }), account.ErrCodeInvalid},
		"no end":  {sign(func(c jwt.MapClaims) { delete(c, "exp") }), account.ErrCodeInvalid},
		"no aud":  {sign(func(c jwt.MapClaims) { delete(c, "aud") }), account.ErrCodeInvalid},

		// Signed by us, and nothing that waits to be used.
		"never issued":    {good, account.ErrCodeSpent},
		"before we began": {sign(func(c jwt.MapClaims) { c["exp"] = time.Now().Add(30 * time.Second).Unix() }), account.ErrCodeExpired},
	} {
		if _, _, err := w.Spend(t.Context(), c.code, remote.Addr{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	var c jwt.MapClaims
	code, _ := w.Issue(l)
	if _, _, err := jwt.NewParser().ParseUnverified(code, &c); err != nil {
		t.Fatal(err)
	}
	if id, _ := c["authID"].(string); len(id) < 26 || c["userID"] != float64(l.User) {
		t.Fatalf("a code holds %v", c)
	}
}

func BenchmarkSpend(b *testing.B) {
	w := start(b, b.TempDir(), account.Options{})
	w.user("ann")
	_, l := w.login("ann")
	b.ReportAllocs()
	for b.Loop() {
		code, _ := w.Issue(l)
		if _, _, err := w.Spend(b.Context(), code, remote.Parse("127.0.0.1:5050")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	w := start(b, b.TempDir(), account.Options{})
	w.user("ann")
	token, _ := w.login("ann")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := w.Authenticate(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
