package console_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/console"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/store/storetest"
)

type site struct {
	accounts *account.Service
	mux      *http.ServeMux
}

func start(t *testing.T) *site {
	t.Helper()
	st, j, _ := storetest.Start(t, t.TempDir())
	accounts, err := account.New(account.Options{Journal: j, Store: st.Accounts(), Key: []byte(strings.Repeat("k", 32))})
	if err != nil {
		t.Fatal(err)
	}
	origins, err := gateway.ParseOrigins(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{accounts, http.NewServeMux()}
	console.New(console.Options{
		Accounts: accounts, Edge: &gateway.Edge{Origins: origins, Log: slog.New(slog.DiscardHandler)},
		Version: `1.2 "<3>"`, Demo: true, Publish: "accounts",
	}).Handle(s.mux)
	return s
}

// ask makes a request; headers are pairs.
func (s *site) ask(t *testing.T, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r)
	return w
}

var part = regexp.MustCompile(`<(?:link|script|img)[^>]* (?:src|href)="([^"#]+)"|from "\./([^"]+)"`)

// TestPagesAreWhole: every part that a page names is there, is of our own, and
// stands under the policy.
func TestPagesAreWhole(t *testing.T) {
	s := start(t)
	seen := map[string]bool{}
	queue := []string{"/try", "/setup"}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		w := s.ask(t, "GET", path, "")
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") == "" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
			continue
		}
		policy := w.Header().Get("Content-Security-Policy")
		for _, must := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "connect-src 'self';", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(policy, must) {
				t.Errorf("%s: the policy %q lacks %q", path, policy, must)
			}
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, w.Header())
		}
		for _, m := range part.FindAllStringSubmatch(w.Body.String(), -1) {
			name := m[1] + m[2]
			if m[2] != "" {
				name = "_console/" + name
			}
			if strings.Contains(name, "://") || strings.HasPrefix(name, "/") {
				t.Errorf("%s loads %s", path, name)
				continue
			}
			queue = append(queue, "/"+name)
		}
	}
	files, err := os.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".html") && !seen["/_console/"+f.Name()] {
			t.Errorf("no page uses %s", f.Name())
		}
	}
}

func TestPagesAreAskedForAgain(t *testing.T) {
	s := start(t)
	w := s.ask(t, "GET", "/try", "")
	tag := w.Header().Get("ETag")
	if tag == "" || w.Header().Get("Cache-Control") != "no-cache" {
		t.Fatalf("%v", w.Header())
	}
	if again := s.ask(t, "GET", "/try", "", "If-None-Match", tag); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("the same page: %d, %d bytes", again.Code, again.Body.Len())
	}
	if other := s.ask(t, "GET", "/setup", "", "If-None-Match", tag); other.Code != http.StatusOK {
		t.Errorf("another page: %d", other.Code)
	}
	for _, path := range []string{"/_console/nothing.js", "/_console/try.html", "/_console/..%2fdoc.go"} {
		if w := s.ask(t, "GET", path, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestPageSaysHowTheServerIsSet(t *testing.T) {
	page := start(t).ask(t, "GET", "/try", "").Body.String()
	for _, must := range []string{`data-demo="true"`, `data-publish="accounts"`, `1.2 &#34;&lt;3&gt;&#34;`} {
		if !strings.Contains(page, must) {
			t.Errorf("the page lacks %s", must)
		}
	}
	if strings.Contains(page, "{{") {
		t.Error("something was not filled in")
	}
}

var (
	text  = regexp.MustCompile(`data-t(?:-placeholder|-label)?="(\w+)"`)
	entry = regexp.MustCompile(`(\w+): (?:"|\{ (?:one|other):)`)
)

// TestEveryTextHasBothLanguages: what is said in one language is said in the
// other, and what a page names is said.
func TestEveryTextHasBothLanguages(t *testing.T) {
	words, err := os.ReadFile("page/texts.js")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for i, block := range strings.Split(string(words), "export const ")[1:] {
		en, id, ok := strings.Cut(block, "\n  id: {")
		if !ok {
			t.Fatalf("block %d has one language", i)
		}
		count := map[string]int{}
		for _, m := range entry.FindAllStringSubmatch(en, -1) {
			count[m[1]]++
			said[m[1]] = true
		}
		for _, m := range entry.FindAllStringSubmatch(id, -1) {
			count[m[1]]--
		}
		for key, n := range count {
			if n != 0 && key != "one" && key != "other" {
				t.Errorf("block %d: %s is said in one language more often", i, key)
			}
		}
	}
	for _, page := range []string{"page/try.html", "page/setup.html"} {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range text.FindAllStringSubmatch(string(b), -1) {
			if !said[m[1]] {
				t.Errorf("%s names %s, which nobody says", page, m[1])
			}
		}
	}
}

func TestWhoTheCookieBelongsTo(t *testing.T) {
	s := start(t)
	u, err := s.accounts.Register(t.Context(), account.Registration{Email: "ann@example.com", Name: "ann", Password: "correct horse"})
	if err != nil {
		t.Fatal(err)
	}
	token, _, l, err := s.accounts.Login(t.Context(), account.LoginRequest{Name: "ann", Password: "correct horse", Gateway: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.accounts.AddToGroup(t.Context(), "Cooks", u.ID); err != nil {
		t.Fatal(err)
	}
	cookie := gateway.Cookie + "=" + token
	want := `{"user":{"id":1,"handle":"ann","name":"ann","email":"ann@example.com","groups":["Users","Cooks"]}}`
	if w := s.ask(t, "GET", "/_console/me", "", "Cookie", cookie); strings.TrimSpace(w.Body.String()) != want || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if err := s.accounts.Logout(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{cookie, gateway.Cookie + "=nonsense", "other=1"} {
		if w := s.ask(t, "GET", "/_console/me", "", "Cookie", c); w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != "{}" {
			t.Errorf("%s: %d %s", c, w.Code, w.Body)
		}
	}
}

func TestSetup(t *testing.T) {
	s := start(t)
	code, needed, err := s.accounts.NewSetup(t.Context())
	if err != nil || !needed {
		t.Fatal(needed, err)
	}
	body := func(code, password string) string {
		return `{"code":"` + code + `","email":"admin@example.com","name":"Admin","password":"` + password + `"}`
	}
	problem := func(w *httptest.ResponseRecorder, status int, reason string) {
		t.Helper()
		var p struct{ Code, Detail string }
		err := json.Unmarshal(w.Body.Bytes(), &p)
		if err != nil || w.Code != status || p.Code != reason || p.Detail == "" || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
	}
	problem(s.ask(t, "POST", "/v1/setup", body("wrong", "correct horse")), 401, "SETUP_INVALID")
	problem(s.ask(t, "POST", "/v1/setup", body(code, "correct horse"), "Origin", "https://evil.example"), 403, "ORIGIN")
	problem(s.ask(t, "POST", "/v1/setup", body(code, "short")), 400, "PASSWORD_TOO_SHORT")
	problem(s.ask(t, "POST", "/v1/setup", "{"), 400, "NOT_JSON")

	problem(s.ask(t, "GET", "/v1/setup?code=wrong", ""), 401, "SETUP_INVALID")
	if w := s.ask(t, "GET", "/v1/setup?code="+code, ""); w.Code != http.StatusNoContent {
		t.Errorf("a good code: %d", w.Code)
	}
	w := s.ask(t, "POST", "/v1/setup", body(code, "correct horse"))
	if w.Code != http.StatusCreated || !strings.Contains(w.Body.String(), `"session":true`) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	cookies := w.Result().Cookies()
	if len(cookies) != 1 || cookies[0].Name != gateway.Cookie || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode {
		t.Fatalf("%v", cookies)
	}
	if me := s.ask(t, "GET", "/_console/me", "", "Cookie", gateway.Cookie+"="+cookies[0].Value).Body.String(); !strings.Contains(me, `"groups":["Users","Admins"]`) {
		t.Errorf("%s", me)
	}
	problem(s.ask(t, "POST", "/v1/setup", body(code, "correct horse")), 401, "SETUP_INVALID")
	problem(s.ask(t, "GET", "/v1/setup?code="+code, ""), 401, "SETUP_INVALID")
}
