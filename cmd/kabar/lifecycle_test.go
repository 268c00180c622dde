package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// asServer in the environment makes the test binary the program, with these
// arguments: a server that can be killed.
const asServer = "KABAR_TEST_ARGS"

// mortal is a server in a process of its own, on a folder that outlives it.
type mortal struct {
	t          *testing.T
	addr, data string
	cmd        *exec.Cmd
	done       chan error
	log        *bytes.Buffer
}

func newMortal(t *testing.T) *mortal {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &mortal{t: t, addr: l.Addr().String(), data: filepath.Join(t.TempDir(), "data")}
	l.Close()
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	return p
}

func (p *mortal) start(flags ...string) {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	args := append([]string{"serve", "--listen", p.addr, "--data", p.data, "--log-level", "warn", "--outbound-allow", "127.0.0.0/8"}, flags...)
	cmd := exec.CommandContext(context.Background(), self)
	cmd.Env = append(os.Environ(), asServer+"="+strings.Join(args, "\n"))
	log := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = io.Discard, log
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan string, 1)
	done := make(chan error, 1)
	p.cmd, p.done, p.log = cmd, done, log
	go func() {
		err := cmd.Wait()
		ended <- fmt.Sprint(err, log.String())
		done <- err
	}()
	waitReady(p.t, "http://"+p.addr+"/readyz", ended)
}

// end ends the process by a signal, and waits for it.
func (p *mortal) end(by syscall.Signal) {
	if p.cmd == nil {
		return
	}
	http.DefaultClient.CloseIdleConnections()
	_ = p.cmd.Process.Signal(by) // it may have ended
	if err := <-p.done; by == syscall.SIGTERM && err != nil {
		p.t.Errorf("it ended with %v: %s", err, p.log.String())
	}
	p.cmd = nil
}

// call makes a request, with a header as "name: value", and reads the answer.
func (p *mortal) call(method, path, header string, body, into any) {
	p.t.Helper()
	b, err := json.Marshal(body)
	if text, ok := body.(string); ok {
		b = []byte(text)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+p.addr+path, bytes.NewReader(b))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if name, value, ok := strings.Cut(header, ": "); ok {
		r.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		p.t.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, answer, err)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(answer, into); err != nil {
		p.t.Fatalf("%s %s: %s: %v", method, path, answer, err)
	}
}

func (p *mortal) admin() string {
	p.t.Helper()
	key, err := os.ReadFile(filepath.Join(p.data, "admin.key"))
	if err != nil {
		p.t.Fatal(err)
	}
	return "apikey: " + strings.TrimSpace(string(key))
}

// instance makes one, and returns its id and its token.
func (p *mortal) instance(name string) (id uint64, token string) {
	p.t.Helper()
	var made struct {
		ID   uint64
		Auth struct{ Token string }
	}
	p.call("POST", "/instance/create", p.admin(), map[string]any{"instanceName": name}, &made)
	return made.ID, made.Auth.Token
}

// person makes an account, and returns its id and a token.
func (p *mortal) person(name string) (id uint64, token string) {
	p.t.Helper()
	mail := name + "@example.com"
	p.call("POST", "/api/register", "", map[string]any{"email": mail, "username": name, "password": "rahasia-123"}, nil)
	var in struct{ Data struct{ Token string } }
	p.call("POST", "/api/login", "", map[string]any{"email": mail, "password": "rahasia-123"}, &in)
	var users struct {
		Users []struct {
			ID   uint64
			Name string
		}
	}
	p.call("GET", "/v1/users?q="+name, p.admin(), nil, &users)
	if len(users.Users) != 1 || in.Data.Token == "" {
		p.t.Fatalf("%s: %+v", name, users)
	}
	return users.Users[0].ID, "Authorization: Bearer " + in.Data.Token
}

func (p *mortal) dial(path string, header string) *websocket.Conn {
	p.t.Helper()
	h := http.Header{}
	if name, value, ok := strings.Cut(header, ": "); ok {
		h.Set(name, value)
	}
	c, res, err := websocket.Dial(p.t.Context(), "ws://"+p.addr+path, &websocket.DialOptions{HTTPHeader: h})
	if err != nil {
		p.t.Fatalf("%s: %v", path, err)
	}
	if res.Body != nil {
		res.Body.Close()
	}
	p.t.Cleanup(func() { _ = c.CloseNow() })
	go func() { // what is read answers the peer's Close
		for {
			if _, _, err := c.Read(context.Background()); err != nil {
				return
			}
		}
	}()
	return c
}

// direct connects somebody by the gateway direct.
func (p *mortal) direct(token string) *websocket.Conn {
	p.t.Helper()
	var code struct {
		Data struct {
			Code string `json:"websocketAuthCode"`
		}
	}
	p.call("GET", "/ws/auth", token, nil, &code)
	return p.dial("/ws/connect?auth="+code.Data.Code, "")
}

// change is a lifecycle event, as it is delivered.
type change struct {
	Event string
	Data  struct {
		Subject, Gateway, Reason, Topic string
		Number, User, Login, Instance   uint64
		Code                            uint16
		Seconds                         *float64
	}
}

func (c change) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %d %s", c.Event, c.Data.Subject, c.Data.Number, c.Data.Reason))
}

// heard collects events, from a stream or a webhook.
type heard struct {
	mu  sync.Mutex
	all []change // guarded by mu
}

func (h *heard) add(frame []byte) {
	var c change
	if json.Unmarshal(frame, &c) == nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.all = append(h.all, c)
	}
}

// list is what was heard that is kept by keep, as text.
func (h *heard) list(keep func(change) bool) (list []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.all {
		if keep(c) {
			list = append(list, c.String())
		}
	}
	return list
}

// wants waits until what is heard and kept by keep is this.
func (h *heard) wants(t *testing.T, keep func(change) bool, want ...string) {
	t.Helper()
	if got := h.wait(keep, len(want)); !slices.Equal(got, want) {
		t.Fatalf("heard\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// subscribe hears all events of an instance from its first on, until the server ends.
func (p *mortal) subscribe(token string) *heard {
	p.t.Helper()
	c, res, err := websocket.Dial(p.t.Context(), "ws://"+p.addr+"/ws/events?event=*&after=0&token="+token, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if res.Body != nil {
		res.Body.Close()
	}
	h := &heard{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			_, frame, err := c.Read(context.Background())
			if err != nil {
				return
			}
			h.add(frame)
		}
	}()
	p.t.Cleanup(func() { _ = c.CloseNow(); <-done })
	return h
}

// presence are the changes of persons' being online.
func presence(c change) bool { return strings.HasPrefix(c.Event, "user.") }

// wait waits until as many are heard that keep keeps.
func (h *heard) wait(keep func(change) bool, n int) []string {
	for range 3000 {
		if len(h.list(keep)) >= n {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return h.list(keep)
}

// about are the changes of one person's being online, and the sessions' ends.
func about(user uint64) func(change) bool {
	return func(c change) bool { return c.Data.User == user }
}

// TestLifecycleOverKills sees who comes and goes said once, in order and with
// numbers without a hole, to a stream and to a webhook, while the server is
// killed; nobody is left online who does not come back, and who does never went.
func TestLifecycleOverKills(t *testing.T) {
	hook := &heard{}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		hook.add(b)
	}))
	defer receiver.Close()
	p := newMortal(t)
	back := []string{"--lifecycle-settle", "1h", "--lifecycle-return", "24h"}
	p.start(back...)
	ann, annToken := p.person("ann")
	budi, budiToken := p.person("budi")
	_, token := p.instance("lifecycle")
	p.call("PUT", "/webhook/set/lifecycle", p.admin(), map[string]any{"url": receiver.URL, "events": map[string]bool{"user.online": true, "user.offline": true}}, nil)
	stream := p.subscribe(token)
	online := func(user, number uint64) string { return fmt.Sprintf("user.online user/%d %d", user, number) }
	offline := func(user, number uint64, why string) string {
		return fmt.Sprintf("user.offline user/%d %d %s", user, number, why)
	}
	first := p.direct(annToken)
	stream.wants(t, presence, online(ann, 1))
	if err := first.Close(websocket.StatusNormalClosure, "a moment"); err != nil {
		t.Error(err)
	}
	stream.wants(t, about(ann), online(ann, 1), fmt.Sprintf("session.closed user/%d/sessions 1 a moment", ann))
	p.direct(annToken) // back within the settling time
	p.direct(budiToken)
	stream.wants(t, presence, online(ann, 1), online(budi, 1))
	p.end(syscall.SIGKILL)

	p.start(back...)
	stream = p.subscribe(token)
	p.direct(annToken) // back within the time for returning
	cici, ciciToken := p.person("cici")
	p.direct(ciciToken)
	stream.wants(t, presence, online(ann, 1), online(budi, 1), online(cici, 1))
	p.end(syscall.SIGKILL)

	p.start("--lifecycle-settle", "100ms", "--lifecycle-return", "0s")
	stream = p.subscribe(token)
	ends := stream.wait(func(c change) bool { return c.Event == "user.offline" }, 3)
	slices.Sort(ends)
	if want := []string{offline(ann, 2, "restart"), offline(budi, 2, "restart"), offline(cici, 2, "restart")}; !slices.Equal(ends, want) {
		t.Fatalf("the ends are %q, not %q", ends, want)
	}
	last := p.direct(budiToken)
	budis := func(c change) bool { return presence(c) && c.Data.User == budi }
	stream.wants(t, budis, online(budi, 1), offline(budi, 2, "restart"), online(budi, 3))
	_ = last.CloseNow()
	stream.wants(t, budis, online(budi, 1), offline(budi, 2, "restart"), online(budi, 3), offline(budi, 4, "left"))

	// A webhook's events come at least once, in order; by its numbers it knows which.
	all := stream.list(presence)
	hook.wait(func(c change) bool { return c.Data.User == budi && c.Data.Number == 4 }, 1)
	highest, once := map[string]uint64{}, []string{}
	hook.list(func(c change) bool {
		if c.Data.Number > highest[c.Data.Subject] {
			highest[c.Data.Subject] = c.Data.Number
			once = append(once, c.String())
		}
		return true
	})
	if !slices.Equal(once, all) {
		t.Errorf("the webhook heard\n%s\nthe stream\n%s", strings.Join(once, "\n"), strings.Join(all, "\n"))
	}
	p.end(syscall.SIGTERM)
}

// TestSessionsClosedOnEachGateway sees each end said with its gateway, person
// and reason, those that the server's own end brings too; and that its end is
// nobody's going.
func TestSessionsClosedOnEachGateway(t *testing.T) {
	p := newMortal(t)
	flags := []string{"--lifecycle-settle", "1h", "--lifecycle-return", "24h"}
	p.start(flags...)
	_, token := p.instance("lifecycle")
	stream := p.subscribe(token)
	user, ann := p.person("ann")
	shop, shopToken := p.instance("shop")
	p.call("PUT", "/v1/processes/echo", p.admin(), "process: echo\ninputs: { message: string }\noutputs: { response: string }\nrules:\n  - reply: { response: message }\nendpoint: { url: /echo, access: anonymous }\n", nil)
	p.call("POST", "/v1/processes/echo/publish", p.admin(), map[string]any{}, nil)
	var page struct {
		Data struct{ Socket struct{ ID string } }
	}
	p.call("GET", "/x/auth/isUser", ann, nil, &page)
	hers, shops := fmt.Sprintf("session.closed user/%d/sessions", user), fmt.Sprintf("session.closed instance/%d/sessions", shop)
	for _, c := range []struct {
		gateway string
		open    func() *websocket.Conn
		want    string
	}{
		{"direct", func() *websocket.Conn { return p.direct(ann) }, hers + " 1 direct is over"},
		{"relay", func() *websocket.Conn { return p.dial("/?id="+page.Data.Socket.ID, "") }, hers + " 2 relay is over"},
		{"bot", func() *websocket.Conn { return p.dial("/echo", ann) }, hers + " 3 bot is over"},
		{"feed", func() *websocket.Conn { return p.dial("/websocket", "") }, "session.closed feed/sessions 1 feed is over"},
		{"events", func() *websocket.Conn { return p.dial("/ws/events?event=*&token="+shopToken, "") }, shops + " 1 events is over"},
	} {
		_ = c.open().Close(4321, c.gateway+" is over")
		stream.wants(t, func(is change) bool {
			return is.Data.Gateway == c.gateway && is.Data.Code == 4321 && is.Data.Seconds != nil
		}, c.want)
	}
	// A stream that just goes is an end as well.
	gone, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(gone, http.MethodGet, "http://"+p.addr+"/ws/events?event=*&token="+shopToken, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	res.Body.Close()
	stream.wants(t, func(is change) bool { return is.Data.Code == 1006 && is.Data.Instance == shop }, shops+" 2")

	p.dial("/websocket", "")
	p.direct(ann)
	stream.wait(func(c change) bool { return c.Event == "topic.occupied" && c.Data.Topic == "feed" }, 1)
	p.end(syscall.SIGTERM)
	p.start(flags...)
	stream = p.subscribe(token)
	byTheEnd := func(c change) bool { return c.Data.Code == 1001 && strings.HasPrefix(c.Data.Reason, "retry-after-ms=") }
	if ends := stream.wait(byTheEnd, 3); len(ends) != 3 {
		t.Errorf("the end of the server closed %q", ends)
	}
	if went := stream.list(func(c change) bool { return c.Event == "user.offline" || c.Event == "topic.vacated" }); len(went) > 0 {
		t.Errorf("the server's end is %q", went)
	}
	p.end(syscall.SIGTERM)
}
