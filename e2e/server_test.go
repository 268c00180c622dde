package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// server is a running kabar.
type server struct {
	*process
	data string // its folder
	addr string // host:port of its first address
}

// serve starts `kabar serve` on any free port, with a folder of its own.
func serve(t *testing.T, flags ...string) *server {
	t.Helper()
	return serveOn(t, "127.0.0.1:0", filepath.Join(t.TempDir(), "data"), flags...)
}

func serveOn(t *testing.T, listen, data string, flags ...string) *server {
	t.Helper()
	s := &server{data: data}
	s.process = start(t, append(command(kabar, "serve", "--listen", listen, "--data", data), flags...))
	s.addr = s.sees(t, &s.err, `kabar is ready.*listen="?\[([^ \]]+)`)[1]
	t.Cleanup(func() { s.stop(t) })
	return s
}

// again starts the server again on the same address and data.
func (s *server) again(t *testing.T, flags ...string) *server {
	t.Helper()
	<-s.ended
	return serveOn(t, s.addr, s.data, flags...)
}

// stop ends the server as a person does, and it must end well. A server that
// has ended before is left alone.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if !s.hasEnded() {
		s.signal(syscall.SIGTERM)
		if code := s.wait(t); code != 0 {
			t.Errorf("told to stop, the server ended with %d:\n%s", code, clip(s.err.String()))
		}
	}
	noPanic(t, s.process)
}

// noPanic wants nothing in a log that no server should write.
func noPanic(t *testing.T, p *process) {
	t.Helper()
	if text := p.err.String(); strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic") || strings.Contains(text, "goroutine ") {
		t.Errorf("the server wrote:\n%s", clip(text))
	}
}

// kill9 ends the server as a power cut would end it, but for the kernel.
func (s *server) kill9(t *testing.T) {
	t.Helper()
	s.signal(syscall.SIGKILL)
	s.wait(t)
}

func (s *server) url(path string) string   { return "http://" + s.addr + path }
func (s *server) wsURL(path string) string { return "ws://" + s.addr + path }

// adminKey is the key that the server made in its folder.
func (s *server) adminKey(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.data, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

var caller = &http.Client{Transport: &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 8}, Timeout: patience}

// answer is an HTTP answer, its JSON read.
type answer struct {
	code   int
	header http.Header
	text   string
	json   map[string]any // nil where it is no object
}

// at digs in an answer's JSON; nil where there is nothing.
func (a answer) at(path ...string) any { return dig(a.json, path...) }

func dig(v any, path ...string) any {
	for _, name := range path {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

// call makes a request; headers are pairs. A body that is a string or bytes
// goes as it is, any other as JSON.
func call(t *testing.T, method, url string, body any, headers ...string) answer {
	t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	case []byte:
		r = bytes.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		r = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := caller.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	a := answer{code: res.StatusCode, header: res.Header, text: string(text)}
	_ = json.Unmarshal(text, &a.json) // not every answer is JSON
	return a
}

// must is call where only one code will do.
func must(t *testing.T, code int, method, url string, body any, headers ...string) answer {
	t.Helper()
	a := call(t, method, url, body, headers...)
	if a.code != code {
		t.Fatalf("%s %s: %d, not %d: %s", method, url, a.code, code, a.text)
	}
	return a
}

// person is somebody with an account and a login.
type person struct {
	s     *server
	id    int
	email string
	token string
}

const password = "correct horse"

// person registers somebody and logs them in.
func (s *server) person(t *testing.T, name string) *person {
	t.Helper()
	p := &person{s: s, email: name + "@example.com"}
	must(t, 201, "POST", s.url("/api/register"), map[string]string{"email": p.email, "username": name, "password": password})
	p.login(t)
	p.id = int(p.ok(t, "GET", "/api/user", nil).at("data", "Id").(float64))
	return p
}

// login logs in once more; the person goes on with the new login.
func (p *person) login(t *testing.T) {
	t.Helper()
	a := must(t, 200, "POST", p.s.url("/api/login"), map[string]string{"email": p.email, "password": password})
	p.token = a.at("data", "Token").(string)
}

// ok calls a route as the person; it must succeed.
func (p *person) ok(t *testing.T, method, path string, body any) answer {
	t.Helper()
	return must(t, 200, method, p.s.url(path), body, "Authorization", p.token)
}

// befriend makes two people friends.
func befriend(t *testing.T, a, b *person) {
	t.Helper()
	a.ok(t, "POST", "/api/friends/request", map[string]int{"friend_id": b.id})
	b.ok(t, "POST", "/api/friends/accept", map[string]int{"friend_id": a.id})
}

// friends are two people who are.
func (s *server) friends(t *testing.T) (ann, budi *person) {
	t.Helper()
	ann, budi = s.person(t, "ann"), s.person(t, "budi")
	befriend(t, ann, budi)
	return ann, budi
}

// code gets a one-time code for connecting.
func (p *person) code(t *testing.T) string {
	t.Helper()
	return p.ok(t, "GET", "/ws/auth", nil).at("data", "websocketAuthCode").(string)
}

// metric sums a counter or gauge of /metrics over its labels.
func (s *server) metric(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	sum := 0.0
	for line := range strings.Lines(must(t, 200, "GET", s.url("/metrics"), nil, "apikey", s.adminKey(t)).text) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, l := range labels {
			ok = ok && strings.Contains(rest, l)
		}
		if i := strings.LastIndexByte(rest, ' '); ok && i >= 0 {
			n, err := strconv.ParseFloat(strings.TrimSpace(rest[i:]), 64)
			if err != nil {
				t.Fatalf("metric %q: %v", line, err)
			}
			sum += n
		}
	}
	return sum
}

// within fails where something takes too long: longer than a slow machine does.
func within(t *testing.T, most time.Duration, what string, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if took := time.Since(began); took > most {
		t.Errorf("%s took %v, more than %v", what, took, most)
	}
}
