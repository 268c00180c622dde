package account_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kabar-io/kabar/internal/account"
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
			u, got, err := w.Spend(t.Context(), code, "192.0.2.1")
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

func TestASpentCodeStaysSpent(t *testing.T) {
	folder := t.TempDir()
	w := start(t, folder, account.Options{})
	w.user("ann")
	_, l := w.login("ann")
	code, _ := w.Issue(l)
	fresh, _ := w.Issue(l)
	if _, _, err := w.Spend(t.Context(), code, ""); err != nil {
		t.Fatal(err)
	}
	w.stop()
	w = start(t, folder, account.Options{})
	_, _, err := w.Spend(t.Context(), code, "")
	wantErr(t, err, account.ErrCodeSpent)
	if _, _, err := w.Spend(t.Context(), fresh, ""); err != nil {
		t.Fatal("one that was issued before the restart:", err)
	}
	w.later(61 * time.Second)
	_, _, err = w.Spend(t.Context(), code, "")
	wantErr(t, err, account.ErrCodeExpired)
	w.later(time.Hour) // long after it was swept
	next, _ := w.Issue(l)
	if _, _, err := w.Spend(t.Context(), next, ""); err != nil {
		t.Fatal(err)
	}
	_, _, err = w.Spend(t.Context(), code, "")
	wantErr(t, err, account.ErrCodeExpired)
}

// What a killed process leaves is its files as they are at that moment.
func TestASpentCodeSurvivesAKill(t *testing.T) {
	folder, left := t.TempDir(), t.TempDir()
	w := start(t, folder, account.Options{})
	w.user("ann")
	token, l := w.login("ann")
	code, _ := w.Issue(l)
	if _, _, err := w.Spend(t.Context(), code, ""); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kabar.db", "kabar.db-wal"} {
		b, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(left, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w = start(t, left, account.Options{})
	_, _, err := w.Spend(t.Context(), code, "")
	wantErr(t, err, account.ErrCodeSpent)
	if _, _, err := w.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
}

func TestBadCodes(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	w.user("ann")
	w.user("bob")
	_, l := w.login("ann")
	sign := func(change func(jwt.MapClaims)) string {
		c := jwt.MapClaims{"authID": "x", "userID": l.User, "login": l.ID, "aud": "kabar.code", "exp": time.Now().Add(time.Minute).Unix()}
		change(c)
		s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := sign(func(jwt.MapClaims) {})
	for name, bad := range map[string]string{
		"empty":    "",
		"cut":      good[:len(good)-1],
		"text":     strings.Repeat("a.b.c", 3),
		"no id":    sign(func(c jwt.MapClaims) { c["authID"] = "" }),
		"not ours": sign(func(c jwt.MapClaims) { c["userID"] = 2 }),
		"text id":  sign(func(c jwt.MapClaims) { c["userID"] = "1" }),
		"no end":   sign(func(c jwt.MapClaims) { delete(c, "exp") }),
		"no aud":   sign(func(c jwt.MapClaims) { delete(c, "aud") }),
	} {
		if _, _, err := w.Spend(t.Context(), bad, ""); !errors.Is(err, account.ErrCodeInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := w.Spend(t.Context(), good, ""); err != nil {
		t.Fatal("one that was refused for another's spent it:", err)
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
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			code, _ := w.Issue(l)
			if _, _, err := w.Spend(b.Context(), code, ""); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	w := start(b, b.TempDir(), account.Options{})
	w.user("ann")
	token, _ := w.login("ann")
	for b.Loop() {
		if _, _, err := w.Authenticate(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
