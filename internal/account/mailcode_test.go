package account_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/remote"
	"github.com/kabar-io/kabar/internal/status"
)

// postman keeps the mails, or does what fail says.
type postman struct {
	mu    sync.Mutex
	mails []string                    // guarded by mu: "address: text"
	fail  func(context.Context) error // static
}

func (p *postman) Send(ctx context.Context, to, subject, text string) error {
	if p.fail != nil {
		return p.fail(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mails = append(p.mails, to+": "+subject+": "+text)
	return nil
}

var sixDigits = regexp.MustCompile(`\b[1-9][0-9]{5}\b`)

// last is the code in the newest mail, which went to this address.
func (p *postman) last(t testing.TB, to string) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.mails) == 0 {
		t.Fatal("there is no mail")
	}
	m := p.mails[len(p.mails)-1]
	code := sixDigits.FindString(m)
	if !strings.HasPrefix(m, to+": ") || code == "" || strings.Contains(strings.SplitN(m, ": ", 3)[1], code) {
		t.Fatalf("mailed %q", m)
	}
	return code
}

func (w *world) mailCode(p *postman, email string) string {
	w.t.Helper()
	to, err := w.MailCode(w.t.Context(), account.CodeRequest{Email: email})
	if err != nil {
		w.t.Fatal(err)
	}
	return p.last(w.t, to)
}

// try comes back with a code.
func (w *world) try(email, code string) error {
	_, _, _, _, err := w.LoginByCode(w.t.Context(), account.CodeLogin{Email: email, Code: code, Gateway: "relay"})
	return err
}

// other is a code that this one is not.
func other(code string) string {
	if code == "123456" {
		return "654321"
	}
	return "123456"
}

func TestAnUnseenAddressBecomesAnAccount(t *testing.T) {
	p := &postman{}
	w := start(t, t.TempDir(), account.Options{Mailer: p})
	email, err := w.MailCode(t.Context(), account.CodeRequest{Email: " Ann@Example.org "})
	if err != nil || email != "ann@example.org" {
		t.Fatal(email, err)
	}
	if _, err := w.UserByEmail(t.Context(), email); !errors.Is(err, account.ErrUserNotFound) {
		t.Fatalf("asking alone made an account: %v", err)
	}
	token, u, l, first, err := w.LoginByCode(t.Context(), account.CodeLogin{Email: "ANN@example.org", Code: " " + p.last(t, email) + " ", Gateway: "relay", Idle: 30 * 24 * time.Hour})
	if err != nil || !first || u.Handle != "u1" || u.Display != "u1" || u.Email != email || u.Password != "" || !u.Proven || l.Idle != 30*24*time.Hour || l.Gateway != "relay" {
		t.Fatalf("%+v %+v first %v, %v", u, l, first, err)
	}
	if got, gotL, err := w.Authenticate(t.Context(), token); err != nil || !same(got, u) || gotL != l {
		t.Fatalf("%+v %+v, %v", got, gotL, err)
	}
	for _, password := range []string{"", password} {
		_, _, _, err = w.Login(t.Context(), account.LoginRequest{Name: email, Password: password})
		wantErr(t, err, account.ErrWrongPassword)
	}
	_, again, _, first, err := w.LoginByCode(t.Context(), account.CodeLogin{Email: email, Code: w.mailCode(p, email)})
	if err != nil || first || !same(again, u) {
		t.Fatalf("the second time: %+v first %v, %v", again, first, err)
	}
	if _, _, err := w.Authenticate(t.Context(), token); err != nil {
		t.Fatal("the second proof ended a login:", err)
	}
	if len(w.inbox(u.ID)) != 0 {
		t.Fatal("something was said")
	}
}

func TestTheFirstProofEndsWhatWasPrepared(t *testing.T) {
	p := &postman{}
	w := start(t, t.TempDir(), account.Options{Mailer: p})
	ann := w.user("ann")
	token, l := w.login("ann")
	oneTime, _ := w.Issue(l)
	ticket, _, err := w.OpenTicket(t.Context(), l, false)
	if err != nil || ann.Proven {
		t.Fatalf("%+v, %v", ann, err)
	}
	newToken, u, newLogin, first, err := w.LoginByCode(t.Context(), account.CodeLogin{Email: ann.Email, Code: w.mailCode(p, ann.Email)})
	if err != nil || first || u.ID != ann.ID || !u.Proven || u.Password != "" || u.Handle != "ann" {
		t.Fatalf("%+v first %v, %v", u, first, err)
	}
	_, _, err = w.Authenticate(t.Context(), token)
	wantErr(t, err, account.ErrLoginEnded)
	_, _, err = w.Spend(t.Context(), oneTime, remote.Addr{})
	wantErr(t, err, account.ErrLoginEnded)
	_, _, _, err = w.TicketLogin(t.Context(), ticket)
	wantErr(t, err, account.ErrTicketInvalid)
	_, _, _, err = w.Login(t.Context(), account.LoginRequest{Name: "ann", Password: password})
	wantErr(t, err, account.ErrWrongPassword)
	// Nor can it be set again by who was on the way when it was taken.
	wantErr(t, w.SetPassword(t.Context(), l, password, "another horse"), account.ErrWrongPassword)
	if ms := w.inbox(ann.ID); len(ms) != 1 || ms[0].Ends != account.LoginCredential(l.ID) {
		t.Fatalf("said %+v", ms)
	}
	if _, _, err := w.Authenticate(t.Context(), newToken); err != nil {
		t.Fatal(err)
	}
	// A password that the owner sets stays.
	if err := w.SetPassword(t.Context(), newLogin, "", password); err != nil {
		t.Fatal(err)
	}
	kept, _ := w.login("ann")
	if err := w.try(ann.Email, w.mailCode(p, ann.Email)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Authenticate(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	w.login("ann")
}

func TestRefusedMailCodes(t *testing.T) {
	p := &postman{}
	w := start(t, t.TempDir(), account.Options{Mailer: p})
	for _, email := range []string{"", "ann", "ann@example.org, bob@example.org"} {
		if _, err := w.MailCode(t.Context(), account.CodeRequest{Email: email}); status.Of(err).Reason != "EMAIL_INVALID" {
			t.Errorf("%q: %v", email, err)
		}
		wantErr(t, w.try(email, "123456"), account.ErrMailCodeUnknown)
	}
	const email = "ann@example.org"
	wantErr(t, w.try(email, "123456"), account.ErrMailCodeUnknown)
	code := w.mailCode(p, email)
	for _, wrong := range []string{"", other(code), code + "0", "x"} {
		wantErr(t, w.try(email, wrong), account.ErrMailCodeWrong)
	}
	if err := w.try(email, code); err != nil {
		t.Fatal("the fifth try:", err)
	}
	wantErr(t, w.try(email, code), account.ErrMailCodeExpired)
	// The code of one address is nothing for another.
	w.mailCode(p, "bob@example.org")
	wantErr(t, w.try("bob@example.org", code), account.ErrMailCodeWrong)
	// A newer one replaces it, and has its own five.
	old := w.mailCode(p, email)
	for range 5 {
		wantErr(t, w.try(email, other(old)), account.ErrMailCodeWrong)
	}
	wantErr(t, w.try(email, old), account.ErrTooManyMailCodes)
	code = w.mailCode(p, email)
	if old != code {
		wantErr(t, w.try(email, old), account.ErrMailCodeWrong)
	}
	if err := w.try(email, code); err != nil {
		t.Fatal(err)
	}
	if n := w.Limited()["mail_codes"]; n != 1 {
		t.Fatalf("%d refused", n)
	}
}

func TestThreeMailsInTenMinutes(t *testing.T) {
	p := &postman{}
	folder := t.TempDir()
	w := start(t, folder, account.Options{Mailer: p})
	w.user("ann")
	// Known or not, it is the same.
	for _, email := range []string{"ann@example.org", "nobody@example.org"} {
		for range 3 {
			w.mailCode(p, email)
		}
		_, err := w.MailCode(t.Context(), account.CodeRequest{Email: strings.ToUpper(email)})
		wantErr(t, err, account.ErrTooManyMailCodes)
	}
	w.stop()
	w = start(t, folder, account.Options{Mailer: p})
	_, err := w.MailCode(t.Context(), account.CodeRequest{Email: "ann@example.org"})
	wantErr(t, err, account.ErrTooManyMailCodes)
	if len(p.mails) != 6 {
		t.Fatalf("%d mails", len(p.mails))
	}
	w.later(10 * time.Minute)
	if err := w.try("ann@example.org", w.mailCode(p, "ann@example.org")); err != nil {
		t.Fatal(err)
	}
}

func TestTenMailsADay(t *testing.T) {
	p := &postman{}
	folder := t.TempDir()
	w := start(t, folder, account.Options{Mailer: p})
	const email = "ann@example.org"
	for range 10 {
		if err := w.try(email, w.mailCode(p, email)); err != nil {
			t.Fatal(err)
		}
		w.later(time.Hour)
	}
	refused := func() {
		t.Helper()
		_, err := w.MailCode(t.Context(), account.CodeRequest{Email: email})
		wantErr(t, err, account.ErrTooManyMailCodes)
	}
	refused()
	w.mailCode(p, "bob@example.org")
	w.stop()
	ahead := w.ahead.Load()
	w = start(t, folder, account.Options{Mailer: p})
	w.later(time.Duration(ahead) + 13*time.Hour) // 23 hours after the first
	refused()
	w.later(time.Hour)
	if err := w.try(email, w.mailCode(p, email)); err != nil {
		t.Fatal("the next day:", err)
	}
}

func TestTriesSurviveARestart(t *testing.T) {
	p := &postman{}
	folder := t.TempDir()
	w := start(t, folder, account.Options{Mailer: p})
	const email = "ann@example.org"
	code := w.mailCode(p, email)
	for range 5 {
		wantErr(t, w.try(email, other(code)), account.ErrMailCodeWrong)
		w.stop()
		w = start(t, folder, account.Options{Mailer: p})
	}
	wantErr(t, w.try(email, code), account.ErrTooManyMailCodes)
	code = w.mailCode(p, email)
	w.stop()
	w = start(t, folder, account.Options{Mailer: p})
	if err := w.try(email, code); err != nil {
		t.Fatal(err)
	}
	w.stop()
	w = start(t, folder, account.Options{Mailer: p})
	wantErr(t, w.try(email, code), account.ErrMailCodeExpired)
}

func TestOfAHundredTriesFiveCount(t *testing.T) {
	p := &postman{}
	w := start(t, t.TempDir(), account.Options{Mailer: p})
	for name, c := range map[string]struct {
		right bool
		want  map[error]int32
	}{
		"wrong": {false, map[error]int32{account.ErrMailCodeWrong: 5, account.ErrTooManyMailCodes: 95}},
		"right": {true, map[error]int32{nil: 1, account.ErrMailCodeExpired: 99}},
	} {
		email := name + "@example.org"
		code := w.mailCode(p, email)
		if !c.right {
			code = other(code)
		}
		got := map[error]*atomic.Int32{}
		for want := range c.want {
			got[want] = &atomic.Int32{}
		}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				err := w.try(email, code)
				if n, ok := got[err]; ok {
					n.Add(1)
				} else {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		wg.Wait()
		for want, n := range c.want {
			if got[want].Load() != n {
				t.Errorf("%s: %d times %v", name, got[want].Load(), want)
			}
		}
	}
}

func TestMailCodesAndTheClock(t *testing.T) {
	p := &postman{}
	w := start(t, t.TempDir(), account.Options{Mailer: p})
	const email = "ann@example.org"
	code := w.mailCode(p, email)
	w.later(10*time.Minute - 10*time.Second)
	if err := w.try(email, code); err != nil {
		t.Fatal("within ten minutes:", err)
	}
	code = w.mailCode(p, email)
	w.later(10 * time.Minute)
	wantErr(t, w.try(email, code), account.ErrMailCodeExpired)
	w.later(23 * time.Hour)
	wantErr(t, w.try(email, code), account.ErrMailCodeExpired)
	// A clock that is set back: what was mailed is not good for a day, and who
	// waited is not kept waiting for one.
	for range 3 {
		code = w.mailCode(p, email)
	}
	w.later(-5 * time.Second)
	_, err := w.MailCode(t.Context(), account.CodeRequest{Email: email})
	wantErr(t, err, account.ErrTooManyMailCodes)
	w.later(-24 * time.Hour)
	wantErr(t, w.try(email, code), account.ErrMailCodeExpired)
	if err := w.try(email, w.mailCode(p, email)); err != nil {
		t.Fatal(err)
	}
	// In the end it is forgotten.
	w.later(26 * time.Hour)
	w.mailCode(p, "bob@example.org") // sweeps
	wantErr(t, w.try(email, code), account.ErrMailCodeUnknown)
}

func TestTheMailGoesToTheFormThatIsProven(t *testing.T) {
	p := &postman{}
	w := start(t, t.TempDir(), account.Options{Mailer: p})
	ann := w.user("mike")
	// A capital I with a dot, and the sign for kelvin, become plain letters.
	for _, email := range []string{"m\u0130ke@example.org", "mi\u212ae@example.org"} {
		if to, err := w.MailCode(t.Context(), account.CodeRequest{Email: email}); err != nil || to != ann.Email {
			t.Fatal(to, err)
		}
		p.last(t, ann.Email)
	}
	// Who registered such an address first does not keep it.
	if _, err := w.Register(t.Context(), account.Registration{Email: "N\u0130NA@example.org", Name: "nina", Password: password}); err != nil {
		t.Fatal(err)
	}
	_, u, _, _, err := w.LoginByCode(t.Context(), account.CodeLogin{Email: "nina@example.org", Code: w.mailCode(p, "nina@example.org")})
	if err != nil || u.Email != "nina@example.org" {
		t.Fatalf("%+v, %v", u, err)
	}
}

func TestMailCodesOfSuspendedAccounts(t *testing.T) {
	p := &postman{}
	w := start(t, t.TempDir(), account.Options{Mailer: p})
	ann := w.user("ann")
	if err := w.Suspend(t.Context(), ann.ID); err != nil {
		t.Fatal(err)
	}
	code := w.mailCode(p, ann.Email)
	wantErr(t, w.try(ann.Email, code), account.ErrSuspended)
	wantErr(t, w.try(ann.Email, code), account.ErrMailCodeExpired)
	if u, _ := w.User(t.Context(), ann.ID); u.Proven || !u.Suspended || u.Password == "" {
		t.Fatalf("%+v", u)
	}
}

func TestMailCodeLimitsByAddress(t *testing.T) {
	p := &postman{}
	w := start(t, t.TempDir(), account.Options{Mailer: p, Limits: account.Limits{
		Logins: account.Limit{N: 3, Per: time.Minute}, Registrations: account.Limit{N: 1, Per: time.Hour},
	}})
	from := "192.0.2.1:1"
	for i := range 3 {
		if _, err := w.MailCode(t.Context(), account.CodeRequest{Email: fmt.Sprintf("a%d@example.org", i), Address: remote.Parse(from)}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.MailCode(t.Context(), account.CodeRequest{Email: "a4@example.org", Address: remote.Parse(from)})
	wantErr(t, err, account.ErrTooManyLogins)
	login := func(email, code, from string) error {
		_, _, _, _, err := w.LoginByCode(t.Context(), account.CodeLogin{Email: email, Code: code, Address: remote.Parse(from)})
		return err
	}
	wantErr(t, login("a0@example.org", "1", from), account.ErrTooManyLogins)
	// Of one address one account is made; the other's code is not lost by it.
	a, b := w.mailCode(p, "a@example.org"), w.mailCode(p, "b@example.org")
	if err := login("a@example.org", a, "192.0.2.2:1"); err != nil {
		t.Fatal(err)
	}
	wantErr(t, login("b@example.org", b, "192.0.2.2:1"), account.ErrTooManyRegistrations)
	if err := login("b@example.org", b, "192.0.2.3:1"); err != nil {
		t.Fatal(err)
	}
}

func TestNoMail(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	_, err := w.MailCode(t.Context(), account.CodeRequest{Email: "ann@example.org"})
	wantErr(t, err, account.ErrMailFailed)
	broken := &postman{fail: func(context.Context) error { return errors.New("no route") }}
	w = start(t, t.TempDir(), account.Options{Mailer: broken})
	for range 3 {
		_, err = w.MailCode(t.Context(), account.CodeRequest{Email: "ann@example.org"})
		wantErr(t, err, account.ErrMailFailed)
	}
	_, err = w.MailCode(t.Context(), account.CodeRequest{Email: "ann@example.org"})
	wantErr(t, err, account.ErrTooManyMailCodes)
	// Whose request is over is not waited for.
	hangs := &postman{fail: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	w = start(t, t.TempDir(), account.Options{Mailer: hangs})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := w.MailCode(ctx, account.CodeRequest{Email: "ann@example.org"}); err == nil {
		t.Fatal("no error")
	}
}

// A mailer that hangs costs a person ten seconds, and the server a few of its
// connections.
func TestAMailerThatHangs(t *testing.T) {
	var under, most atomic.Int32
	hangs := &postman{fail: func(ctx context.Context) error {
		n := under.Add(1)
		defer under.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-ctx.Done()
		return ctx.Err()
	}}
	synctest.Test(t, func(t *testing.T) {
		send := account.MailBy(hangs)
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				began := time.Now()
				err := send(t.Context(), fmt.Sprintf("a%d@example.org", i))
				if !errors.Is(err, account.ErrMailFailed) {
					t.Error(err)
				}
				if took := time.Since(began); took != 10*time.Second {
					t.Errorf("took %s", took)
				}
			})
		}
		wg.Wait()
	})
	if n := most.Load(); n > 16 {
		t.Fatalf("%d at once", n)
	}
}

func TestACodeIsNotKeptInTheClear(t *testing.T) {
	p := &postman{}
	w := start(t, t.TempDir(), account.Options{Mailer: p})
	code := w.mailCode(p, "ann@example.org")
	again := w.mailCode(p, "ann@example.org")
	if code == again && w.mailCode(p, "ann@example.org") == code {
		t.Fatal("three times the same code")
	}
}
