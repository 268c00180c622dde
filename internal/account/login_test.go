package account_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/remote"
	"github.com/kabar-io/kabar/internal/status"
)

func TestLoginAndAuthenticate(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	ann := w.user("ann")
	if _, err := w.Notify(ann.ID, "before", journal.Key{}).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ann", "ANN", "ann@example.org", " Ann@Example.Org "} {
		token, u, l, err := w.Login(t.Context(), account.LoginRequest{Name: name, Password: password, Gateway: "direct"})
		if err != nil || !same(u, ann) || l.User != ann.ID || l.InboxStart != 1 || l.Gateway != "direct" || l.Idle != 7*24*time.Hour {
			t.Fatalf("%q: %+v %+v %v", name, u, l, err)
		}
		gotU, gotL, err := w.Authenticate(t.Context(), token)
		if err != nil || !same(gotU, ann) || gotL != l {
			t.Fatalf("authenticated %+v %+v %v; want %+v", gotU, gotL, err, l)
		}
	}
	_, _, _, err := w.Login(t.Context(), account.LoginRequest{Name: "ann", Password: "wrong horse"})
	wantErr(t, err, account.ErrWrongPassword)
	_, _, _, err = w.Login(t.Context(), account.LoginRequest{Name: "nobody", Password: password})
	wantErr(t, err, account.ErrUnknownName)
	if a, b := account.ErrWrongPassword.Error(), account.ErrUnknownName.Error(); a != b {
		t.Errorf("%q and %q tell whether a name exists", a, b)
	}
}

func TestTokensOfOthersAreRefused(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	w.user("ann")
	token, l := w.login("ann")
	code, err := w.Issue(l)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = w.Authenticate(t.Context(), code)
	wantErr(t, err, account.ErrTokenInvalid)
	_, _, err = w.Spend(t.Context(), token, remote.Addr{})
	wantErr(t, err, account.ErrCodeInvalid)

	var c jwt.MapClaims
	if _, _, err := jwt.NewParser().ParseUnverified(token, &c); err != nil {
		t.Fatal(err)
	}
	sign := func(m jwt.SigningMethod, k any, header map[string]any, change func(jwt.MapClaims)) string {
		claims := jwt.MapClaims{}
		for n, v := range c {
			claims[n] = v
		}
		change(claims)
		tok := jwt.NewWithClaims(m, claims)
		for n, v := range header {
			tok.Header[n] = v
		}
		s, err := tok.SignedString(k)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	same := func(jwt.MapClaims) {}
	if _, _, err := w.Authenticate(t.Context(), sign(jwt.SigningMethodHS256, key, nil, same)); err != nil {
		t.Fatal("the same claims signed again:", err)
	}
	parts := strings.Split(token, ".")
	for name, bad := range map[string]string{
		"empty":     "",
		"text":      "hello",
		"long":      strings.Repeat("x", 5000),
		"none":      sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, same),
		"HS512":     sign(jwt.SigningMethodHS512, key, nil, same),
		"key":       sign(jwt.SigningMethodHS256, []byte("another key of thirty-two bytes.."), nil, same),
		"crit":      sign(jwt.SigningMethodHS256, key, map[string]any{"crit": []string{"exp"}}, same),
		"b64":       sign(jwt.SigningMethodHS256, key, map[string]any{"b64": false}, same),
		"audience":  sign(jwt.SigningMethodHS256, key, nil, func(c jwt.MapClaims) { c["aud"] = "kabar" }),
		"subject":   sign(jwt.SigningMethodHS256, key, nil, func(c jwt.MapClaims) { c["sub"] = "2" }),
		"no end":    sign(jwt.SigningMethodHS256, key, nil, func(c jwt.MapClaims) { delete(c, "exp") }),
		"over":      sign(jwt.SigningMethodHS256, key, nil, func(c jwt.MapClaims) { c["exp"] = 1 }),
		"signature": parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 32)),
		"unsigned":  parts[0] + "." + parts[1] + ".",
	} {
		if _, _, err := w.Authenticate(t.Context(), bad); !errors.Is(err, account.ErrTokenInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, err = w.Authenticate(t.Context(), sign(jwt.SigningMethodHS256, key, nil, func(c jwt.MapClaims) { c["jti"] = "unknown" }))
	wantErr(t, err, account.ErrLoginEnded)
}

func TestALoginSlidesAndEnds(t *testing.T) {
	folder := t.TempDir()
	w := start(t, folder, account.Options{LoginIdle: 24 * time.Hour, LoginEnd: 48 * time.Hour})
	w.user("ann")
	token, l := w.login("ann")
	before := w.journal.Stats().Changes
	for range 10 {
		if _, got, err := w.Authenticate(t.Context(), token); err != nil || got != l {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	if n := w.journal.Stats().Changes; n != before {
		t.Fatalf("being used at once wrote %d times", n-before)
	}
	w.later(20 * time.Hour)
	_, moved, err := w.Authenticate(t.Context(), token)
	if err != nil || !moved.Expires.After(l.Expires.Add(19*time.Hour)) {
		t.Fatalf("did not slide: %+v, %v", moved, err)
	}
	if again := w.Touch(moved); again != moved {
		t.Fatal("moved twice in an hour")
	}
	w.stop() // what Touch handed over is kept
	ahead := w.ahead.Load()
	w = start(t, folder, account.Options{LoginIdle: 24 * time.Hour, LoginEnd: 48 * time.Hour})
	w.ahead.Store(ahead)
	w.later(20 * time.Hour)
	_, l, err = w.Authenticate(t.Context(), token)
	if err != nil || l.Expires.After(l.Created.Add(48*time.Hour)) {
		t.Fatalf("40 hours later: %+v, %v", l, err)
	}
	w.later(9 * time.Hour)
	if _, _, err = w.Authenticate(t.Context(), token); status.Of(err).Code != status.Unauthenticated {
		t.Fatalf("49 hours later: %v", err)
	}

	token, l = w.login("ann")
	w.later(25 * time.Hour)
	_, _, err = w.Authenticate(t.Context(), token)
	wantErr(t, err, account.ErrLoginEnded)
	if w.Touch(l) != l {
		t.Fatal("a login that is over was revived")
	}
	_, _, l, err = w.Login(t.Context(), account.LoginRequest{Name: "ann", Password: password, Idle: time.Hour})
	if err != nil || l.Expires.Sub(l.Created) != time.Hour {
		t.Fatalf("%+v, %v", l, err)
	}
	w.later(16 * time.Minute)
	if w.Touch(l) == l {
		t.Fatal("a short login is not written down often enough to live")
	}
}

func TestWrongPasswordsAreBounded(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{Limits: account.UsualLimits})
	w.user("ann")
	token, _ := w.login("ann")
	try := func(name, password string) error {
		_, _, _, err := w.Login(t.Context(), account.LoginRequest{Name: name, Password: password})
		return err
	}
	for range 30 { // right ones do not count
		if err := try("ann", password); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]error{"ann": account.ErrWrongPassword, "nobody": account.ErrUnknownName} {
		var wg sync.WaitGroup
		var wrong, tooMany atomic.Int32
		for range 30 {
			wg.Go(func() {
				switch err := try(name, "wrong horse"); {
				case errors.Is(err, want):
					wrong.Add(1)
				case errors.Is(err, account.ErrTooManyPasswords):
					tooMany.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if wrong.Load() != 10 || tooMany.Load() != 20 {
			t.Fatalf("%s: %d were checked, %d not", name, wrong.Load(), tooMany.Load())
		}
	}
	wantErr(t, try("ann", password), account.ErrTooManyPasswords)
	if _, _, err := w.Authenticate(t.Context(), token); err != nil {
		t.Fatal("the owner is locked out:", err)
	}
	w.later(2 * time.Minute)
	if err := try("ann", password); err != nil {
		t.Fatal("two minutes later:", err)
	}
}

func TestLogoutEndsTheLogin(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	ann := w.user("ann")
	token, l := w.login("ann")
	other, _ := w.login("ann")
	code, _ := w.Issue(l)
	for range 2 {
		if err := w.Logout(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := w.Authenticate(t.Context(), token)
	wantErr(t, err, account.ErrLoginEnded)
	_, _, err = w.Spend(t.Context(), code, remote.Addr{})
	wantErr(t, err, account.ErrLoginEnded)
	if _, _, err := w.Authenticate(t.Context(), other); err != nil {
		t.Fatal("the other device:", err)
	}
	ms := w.inbox(ann.ID)
	if len(ms) != 1 || ms[0].Kind != account.KindLoginEnded || ms[0].Ends != account.LoginCredential(l.ID) {
		t.Fatalf("said %+v", ms)
	}
	var data account.LoginEnded
	if err := json.Unmarshal(ms[0].Data, &data); err != nil || data != (account.LoginEnded{Login: l.ID, Reason: "logout"}) {
		t.Fatalf("said %s, %v", ms[0].Data, err)
	}
}

func TestSuspendAndRestore(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	ann := w.user("ann")
	token, l := w.login("ann")
	code, _ := w.Issue(l)
	w.login("ann")
	for range 2 {
		if err := w.Suspend(t.Context(), ann.ID); err != nil {
			t.Fatal(err)
		}
	}
	if ms := w.inbox(ann.ID); len(ms) != 2 {
		t.Fatalf("said %+v", ms)
	}
	_, _, err := w.Authenticate(t.Context(), token)
	wantErr(t, err, account.ErrLoginEnded)
	_, _, err = w.Spend(t.Context(), code, remote.Addr{})
	wantErr(t, err, account.ErrLoginEnded)
	_, _, _, err = w.Login(t.Context(), account.LoginRequest{Name: "ann", Password: password})
	wantErr(t, err, account.ErrSuspended)
	_, _, _, err = w.Login(t.Context(), account.LoginRequest{Name: "ann", Password: "wrong horse"})
	wantErr(t, err, account.ErrWrongPassword)
	if err := w.Restore(t.Context(), ann.ID); err != nil {
		t.Fatal(err)
	}
	_, _, err = w.Authenticate(t.Context(), token)
	wantErr(t, err, account.ErrLoginEnded)
	wantErr(t, w.Suspend(t.Context(), 99), account.ErrUserNotFound)
}
