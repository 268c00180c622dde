package direct_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/gateway/direct"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
	"github.com/kabar-io/kabar/internal/remote"
	"github.com/kabar-io/kabar/internal/ws"
)

// TestWhoIsToldToComeBackMayUseTheCodeThen: a connect that is one too many
// does not spend its code, and neither it nor the request for one is answered
// in other words than the dialect's. Whoever has no login uses up nothing.
func TestWhoIsToldToComeBackMayUseTheCodeThen(t *testing.T) {
	o := options(direct.Options{})
	build := o.Build
	o.Build = func(c *transcript.Core) (transcript.Routes, error) {
		c.Edge.Admission = gateway.NewAdmission(account.Limit{N: 1, Per: time.Hour}, 0)
		routes, err := build(c)
		g := direct.New(direct.Options{Edge: c.Edge})
		routes.Sockets = map[string]ws.Acceptor{direct.Path: c.Edge.Admission.Guard(routes.Sockets[direct.Path], g.Refusal)}
		return routes, err
	}
	s := transcript.Start(t, o)
	if _, err := s.Accounts.Register(t.Context(), account.Registration{Email: "ann@example.org", Name: "ann", Password: password}); err != nil {
		t.Fatal(err)
	}
	token, code := enter(t, s, "ann")
	_, other := enter(t, s, "ann")
	told := func(res *http.Response) {
		t.Helper()
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		var body struct {
			Code           int
			Error, Details string
		}
		if err := json.Unmarshal(b, &body); err != nil || res.StatusCode != http.StatusServiceUnavailable || body.Code != 503 || body.Error != "Service Unavailable" ||
			body.Details == "" || res.Header.Get("Retry-After") == "" {
			t.Errorf("told %d %v %s", res.StatusCode, res.Header, b)
		}
	}
	ask := func(token string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/ws/auth", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	connect := func(code string) *http.Response {
		t.Helper()
		res, err := http.ReadResponse(bufio.NewReader(upgrade(t, s, "auth="+code)), nil)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	for range 3 {
		if res := connect("nonsense"); res.StatusCode != http.StatusUnauthorized {
			t.Fatalf("a wrong code: %d", res.StatusCode)
		}
	}
	if res := connect(other); res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the first: %d", res.StatusCode)
	}
	told(connect(code))
	if _, l, err := s.Accounts.Spend(t.Context(), code, remote.Addr{}); err != nil || l.ID == 0 {
		t.Errorf("the code was spent: %v", err)
	}
	for i, of := range []string{"", "nonsense", token} {
		res := ask(of)
		res.Body.Close()
		if want := []int{http.StatusUnauthorized, http.StatusUnauthorized, http.StatusOK}[i]; res.StatusCode != want {
			t.Errorf("with the token %q: %d", of, res.StatusCode)
		}
	}
	told(ask(token))
	http.DefaultClient.CloseIdleConnections()
}
