package gateway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/remote"
	"github.com/kabar-io/kabar/internal/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOrigins(t *testing.T) {
	demo := []string{"http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*", "null"}
	shop := []string{"https://Shop.example", "https://shop.example:8443"}
	for _, c := range []struct {
		list         []string
		origin, host string
		want         bool
	}{
		{nil, "", "kabar.example", true}, // a tool
		{nil, "https://kabar.example", "kabar.example", true},
		{nil, "https://Kabar.Example:8443", "kabar.example:8443", true},
		{nil, "https://kabar.example", "kabar.example:8443", false},
		{nil, "https://kabar.example.evil.example", "kabar.example", false},
		{nil, "null", "kabar.example", false},
		{nil, "null", "null", false},
		{nil, "https://", "", false},
		{demo, "http://localhost:5173", "x", true},
		{demo, "http://localhost", "x", false},
		{demo, "http://localhost:", "x", false},
		{demo, "http://localhost:80@evil.example", "x", false},
		{demo, "http://localhost:8080.evil.example", "x", false},
		{demo, "http://localhost.evil.example:80", "x", false},
		{demo, "https://localhost:5173", "x", false},
		{demo, "http://127.0.0.1:3000", "x", true},
		{demo, "http://[::1]:3000", "x", true},
		{demo, "null", "x", true},
		{demo, "NULL", "x", true},
		{shop, "https://shop.example", "x", true},
		{shop, "https://SHOP.example", "x", true},
		{shop, "https://shop.example:8443", "x", true},
		{shop, "https://shop.example:9443", "x", false},
		{shop, "http://shop.example", "x", false},
		{shop, "https://my.shop.example", "x", false},
		{shop, "null", "x", false},
	} {
		o, err := gateway.ParseOrigins(c.list)
		if err != nil {
			t.Fatal(err)
		}
		if got := o.Allowed(c.origin, c.host); got != c.want {
			t.Errorf("%v, a page of %q at %q: %v", c.list, c.origin, c.host, got)
		}
	}
	for _, bad := range []string{"", "*", "localhost", "http://", "://x", "http://x/", "http://x/path", "http://*", "http://*.example", "http://*:80", "http://a b", "http://u@x", "http://x?q"} {
		if _, err := gateway.ParseOrigins([]string{bad}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", bad)) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestGuard(t *testing.T) {
	o, err := gateway.ParseOrigins([]string{"https://shop.example"})
	if err != nil {
		t.Fatal(err)
	}
	h := o.Guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(299) }),
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	for _, c := range []struct {
		method, origin, asks string
		code                 int
		readable             string
	}{
		{"GET", "", "", 299, ""},
		{"GET", "https://evil.example", "", 299, ""},
		{"GET", "https://shop.example", "", 299, "https://shop.example"},
		{"POST", "", "", 299, ""},
		{"POST", "http://kabar.example", "", 299, ""},
		{"POST", "https://shop.example", "", 299, "https://shop.example"},
		{"POST", "https://evil.example", "", 403, ""},
		{"PATCH", "https://evil.example", "", 403, ""},
		{"DELETE", "null", "", 403, ""},
		{"BREW", "https://evil.example", "", 403, ""},
		{"OPTIONS", "https://shop.example", "POST", 204, "https://shop.example"},
		{"OPTIONS", "https://shop.example", "", 299, "https://shop.example"},
		{"OPTIONS", "https://evil.example", "POST", 299, ""},
	} {
		r := httptest.NewRequest(c.method, "http://kabar.example/x", nil)
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if c.asks != "" {
			r.Header.Set("Access-Control-Request-Method", c.asks)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		vary := ""
		if c.readable != "" {
			vary = "Origin"
		}
		if got := w.Header(); w.Code != c.code || got.Get("Access-Control-Allow-Origin") != c.readable || got.Get("Vary") != vary ||
			(got.Get("Access-Control-Allow-Methods") != "") != (c.code == 204) {
			t.Errorf("%+v: %d, %v", c, w.Code, got)
		}
	}
}

func TestParsePosition(t *testing.T) {
	for _, in := range []string{"7", "e1:7", "007", string(gateway.AppendPosition(nil, "e1", 7))} {
		if seq, err := gateway.ParsePosition(in, "e1"); err != nil || seq != 7 {
			t.Errorf("%q: %d, %v", in, seq, err)
		}
	}
	if seq, err := gateway.ParsePosition(string(gateway.AppendPosition(nil, "e1", 1<<64-1)), "e1"); err != nil || seq != 1<<64-1 {
		t.Errorf("%d, %v", seq, err)
	}
	for _, in := range []string{"", ":", "e1:", ":7", "-1", "+7", "7.0", "x", "e1:x", "e1:7:8", "18446744073709551616", " 7"} {
		if seq, err := gateway.ParsePosition(in, "e1"); status.Of(err) == nil || status.Of(err).Reason != "BAD_POSITION" {
			t.Errorf("%q: %d, %v", in, seq, err)
		}
	}
	_, err := gateway.ParsePosition("e2:7", "e1")
	var gone *hub.GoneError
	if !errors.As(err, &gone) || gone.Reason != "epoch" {
		t.Fatalf("another epoch's: %v", err)
	}
	gone.Head = 9
	if body := gateway.Gone(err); body["reason"] != "epoch" || body["head"] != uint64(9) {
		t.Errorf("%v", body)
	}
	if e := status.Of(err); e.HTTP() != 410 || e.Close() != 4010 || !strings.Contains(e.Message, "epoch") || !strings.Contains(e.Message, "9") {
		t.Errorf("%+v", e)
	}
	if body := gateway.Gone(errors.New("other")); body != nil {
		t.Errorf("%v", body)
	}
}

func TestToken(t *testing.T) {
	for _, c := range []struct{ authorization, cookie, want string }{
		{"", "", ""},
		{"token", "", "token"},
		{" token ", "", "token"},
		{"Bearer token", "", "token"},
		{"bEARER   token ", "", "token"},
		{"Basic token", "", ""},
		{"Bearer ", "", "Bearer"}, // a token that nobody has
		{"", "token", "token"},
		{"mine", "other", "mine"},
		{"Basic mine", "other", ""}, // one that was meant for somebody else is no reason to look further
	} {
		h := http.Header{}
		if c.authorization != "" {
			h.Set("Authorization", c.authorization)
		}
		if c.cookie != "" {
			h.Set("Cookie", "a=b; "+gateway.Cookie+"="+c.cookie)
		}
		if got := gateway.Token(h); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestPlaces(t *testing.T) {
	p := &gateway.Places{Most: 2}
	take := func(from string) {
		t.Helper()
		if err := p.Take(remote.Parse(from)); err != nil {
			t.Fatal(err)
		}
	}
	take("192.0.2.1:1")
	take("192.0.2.1:2")
	take("[2001:db8::1]:1")
	if err := p.Take(remote.Parse("192.0.2.1:3")); status.Of(err) == nil || status.Of(err).Code != status.TooMany || p.Refused.Load() != 1 {
		t.Fatalf("the third of two: %v", err)
	}
	p.Release(remote.Parse("192.0.2.1:1"))
	take("192.0.2.1:4")
	if p.Take(remote.Parse("192.0.2.1:5")) == nil {
		t.Fatal("a place that was given back once is two")
	}

	none := &gateway.Places{}
	for range 100 {
		if err := none.Take(remote.Parse("192.0.2.1:1")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPlacesAtOnce(t *testing.T) {
	p := &gateway.Places{Most: 10}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 100 {
				if p.Take(remote.Parse("192.0.2.1:1")) == nil {
					p.Release(remote.Parse("192.0.2.1:1"))
				}
			}
		})
	}
	wg.Wait()
	for i := range 11 {
		if err := p.Take(remote.Parse("192.0.2.1:1")); (err == nil) != (i < 10) {
			t.Fatalf("the %dth: %v", i+1, err)
		}
	}
}

func TestReadJSON(t *testing.T) {
	type body struct {
		Name string         `json:"name"`
		N    uint64         `json:"n"`
		On   bool           `json:"on"`
		In   map[string]int `json:"in"`
	}
	for in, want := range map[string]string{
		`{"name":"x","n":7,"more":1}`: "",
		``:                            "",
		" \n":                         "",
		`{"name":7}`:                  "name must be a string, not number",
		`{"n":"7"}`:                   "n must be a whole number from 0, not string",
		`{"n":-7}`:                    "n must be a whole number from 0, not number -7",
		`{"on":"yes"}`:                "on must be a bool, not string",
		`{"in":[]}`:                   "in must be an object, not array",
		`[]`:                          "the body must be an object, not array",
		`{"name":`:                    "not JSON: unexpected end of JSON input at byte 8",
		`{"name":"x"} {}`:             "not JSON: invalid character '{' after top-level value at byte 14",
		`x`:                           "not JSON: invalid character 'x' looking for beginning of value at byte 1",
	} {
		var v body
		err := gateway.ReadJSON(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(in)), &v)
		got := ""
		if err != nil {
			got = err.Error()
			if status.Of(err).HTTP() != 400 {
				t.Errorf("%s: %v", in, status.Of(err))
			}
		}
		if got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
	var v body
	err := gateway.ReadJSON(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`"`+strings.Repeat("x", 64<<10)+`"`)), &v)
	if status.Of(err) == nil || status.Of(err).HTTP() != 413 {
		t.Errorf("too large: %v", err)
	}
}

func TestJSON(t *testing.T) {
	if got := string(gateway.JSON(map[string]string{"a": "<b>&\u2028"}).Bytes); got != `{"a":"<b>&\u2028"}`+"\n" {
		t.Errorf("got %q", got)
	}
}

// FuzzAppendString: encoding/json reads back what was written, and what was no
// UTF-8 as it would read that itself.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "hi", `"\`, "\x00\x1f\x7f\n\r\t", "ä😀\u2028\ufffd", "\xff\xc3", "a\xf0\x9f\x98b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := gateway.AppendString([]byte("x"), s)
		var got string
		if err := json.Unmarshal(b[1:], &got); b[0] != 'x' || err != nil {
			t.Fatalf("%q is written as %q: %v", s, b, err)
		}
		if utf8.ValidString(s) && got != s {
			t.Fatalf("%q comes back as %q", s, got)
		}
		std, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var same string
		if err := json.Unmarshal(std, &same); err != nil || got != same {
			t.Fatalf("%q comes back as %q, not %q", s, got, same)
		}
	})
}

func BenchmarkAppendString(b *testing.B) {
	s := strings.Repeat("Apa kabar? \"Baik\" 😀 ", 10)
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		dst = gateway.AppendString(dst[:0], s)
	}
}

func TestConnectionsOfAnAddressAreBounded(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	places := &gateway.Places{Most: 3}
	s.Config.ConnState = places.ConnState()
	s.Start()
	defer s.Close()
	answered := func() (net.Conn, bool) {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		n, _ := c.Read(make([]byte, 64))
		return c, n > 0
	}
	var open []net.Conn
	for i := range 4 {
		c, ok := answered()
		defer c.Close()
		if open = append(open, c); ok != (i < 3) {
			t.Errorf("connection %d of 3: %v", i+1, ok)
		}
	}
	open[0].Close()
	for range 6000 { // the server notices in its own time
		if c, ok := answered(); ok {
			c.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("a place that is free again is not given away")
}
