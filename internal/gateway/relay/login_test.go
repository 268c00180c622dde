package relay_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/gateway/relay"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
)

// TestABodyThatIsHeldBackSetsNoPassword: whoever registered Ann's address begins
// to set a password, and ends it when she has proven that the address is hers.
func TestABodyThatIsHeldBackSetsNoPassword(t *testing.T) {
	mails := &box{}
	o := options(relay.Options{})
	o.Accounts.Mailer = mails
	s := serverOf(t, o)
	evil, _ := session(t, s, "ann")
	body, in := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/x/account/set-password", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+evil)
	answered := make(chan int, 1)
	go func() {
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		_ = res.Body.Close()
		answered <- res.StatusCode
	}()
	if _, err := io.WriteString(in, `{"password":`); err != nil { // it was taken from us: the request is on its way
		t.Fatal(err)
	}
	// Its login was good when it came. What that takes is little, and where it is
	// not done yet the answer is the same.
	time.Sleep(100 * time.Millisecond)
	if _, err := s.Accounts.MailCode(t.Context(), account.CodeRequest{Email: "ann@example.org"}); err != nil {
		t.Fatal(err)
	}
	code := sixDigits.FindString(mails.to["ann@example.org"])
	if _, _, _, _, err := s.Accounts.LoginByCode(t.Context(), account.CodeLogin{Email: "ann@example.org", Code: code}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, `"evil horse"}`); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	if got := <-answered; got != http.StatusUnauthorized {
		t.Errorf("answered %d", got)
	}
	http.DefaultClient.CloseIdleConnections()
	_, _, _, err = s.Accounts.Login(t.Context(), account.LoginRequest{Name: "ann@example.org", Password: "evil horse"})
	if !errors.Is(err, account.ErrWrongPassword) {
		t.Errorf("logs in with it: %v", err)
	}
}

// withRoutes are options that let the test have what answers requests.
func withRoutes(o transcript.Options, made *http.Handler) transcript.Options {
	build := o.Build
	o.Build = func(c *transcript.Core) (transcript.Routes, error) {
		r, err := build(c)
		*made = r.HTTP
		return r, err
	}
	return o
}

// TestALinkThatDoesNotLogOutSaysSo: where the store does not answer, the login
// may live on, and nobody is led away as if it did not.
func TestALinkThatDoesNotLogOutSaysSo(t *testing.T) {
	o := options(relay.Options{})
	var routes http.Handler
	s := serverOf(t, withRoutes(o, &routes))
	token, _ := session(t, s, "ann")
	for _, want := range []int{http.StatusInternalServerError, http.StatusFound} {
		ctx, cancel := context.WithCancel(t.Context())
		if want == http.StatusInternalServerError {
			cancel()
		}
		if _, _, err := s.Accounts.Authenticate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/x/auth/logout", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		routes.ServeHTTP(w, r)
		cancel()
		if w.Code != want {
			t.Errorf("answered %d, not %d", w.Code, want)
		}
	}
}

// TestABootstrapWaitsForTheOneBefore: of a login, so that nobody has the server
// hold many of what is large.
func TestABootstrapWaitsForTheOneBefore(t *testing.T) {
	var g *relay.Gateway
	s := serverOf(t, optionsOf(relay.Options{}, &g))
	token, l := session(t, s, "ann")
	other, _ := session(t, s, "ann")
	over, ok := g.Bootstrap(t.Context(), l.ID)
	if !ok {
		t.Fatal("nobody is at it")
	}
	var start struct{ OK bool }
	get(t, s, other, "/x/auth/isUser", &start)
	var done atomic.Bool
	time.AfterFunc(200*time.Millisecond, func() {
		done.Store(true)
		over()
	})
	get(t, s, token, "/x/auth/isUser", &start)
	if !done.Load() {
		t.Error("two at once")
	}
}

// TestABootstrapIsOverOnceItIsWritten: a client that does not read it has no
// other one made.
func TestABootstrapIsOverOnceItIsWritten(t *testing.T) {
	var g *relay.Gateway
	var routes http.Handler
	s := serverOf(t, withRoutes(optionsOf(relay.Options{}, &g), &routes))
	token, l := session(t, s, "ann")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := &slowly{ResponseRecorder: httptest.NewRecorder(), then: func() {
		if _, ok := g.Bootstrap(ctx, l.ID); ok {
			t.Error("the next one begins while it is written")
		}
	}}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x/auth/isUser", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	routes.ServeHTTP(w, r)
	if w.Code != http.StatusOK || w.Body.Len() == 0 {
		t.Errorf("answered %d", w.Code)
	}
	if over, ok := g.Bootstrap(ctx, l.ID); ok {
		over()
	} else {
		t.Error("the next one cannot begin after it")
	}
}

// slowly is a response during whose writing something happens.
type slowly struct {
	*httptest.ResponseRecorder
	then func()
}

func (s *slowly) Write(p []byte) (int, error) {
	s.then()
	return s.ResponseRecorder.Write(p)
}
