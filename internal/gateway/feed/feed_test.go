package feed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway/feed"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take; what takes so long does not come.
const patience = 30 * time.Second

// options are a server with the dialect, where publish may speak and ten lines
// are kept.
func options(publish feed.Publish) transcript.Options {
	return transcript.Options{
		Build: func(c *transcript.Core) (transcript.Routes, error) {
			g := feed.New(feed.Options{
				Edge: c.Edge, Journal: c.Journal, Accounts: c.Accounts, Chats: c.Chats, Publish: publish,
				Limits: ws.Limits{MaxMessage: 4096, Queue: 256 << 10, Pending: 64},
			})
			g.AskAlways()
			mux := http.NewServeMux()
			g.Handle(mux)
			mux.HandleFunc("GET /refused", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"refused":%d}`, g.Refused()) })
			return transcript.Routes{HTTP: mux, Sockets: map[string]ws.Acceptor{feed.Path: g.Accept}}, nil
		},
		Words: words(),
		Hub: hub.Options{Settle: 20 * time.Millisecond, Retention: func(topic string) uint64 {
			if topic == chat.FeedTopic {
				return 10
			}
			return hub.All
		}},
	}
}

type word = func(ctx context.Context, s *transcript.Scene, rest string) error

// words are the lines of transcripts that have no HTTP route in this dialect.
func words() map[string]word {
	say := func(f func(s *transcript.Scene, text string) *journal.Pending) word {
		return func(ctx context.Context, s *transcript.Scene, text string) error {
			_, err := f(s, text).Wait(ctx)
			return err
		}
	}
	return map[string]word{
		// announce …: the server says it on the feed.
		"announce": say(func(s *transcript.Scene, text string) *journal.Pending { return s.Journal.Do(s.Chats.AnnounceIn(text)) }),
		// notify …: the server says it to everybody.
		"notify": say(func(s *transcript.Scene, text string) *journal.Pending {
			return s.Accounts.NotifyAll(text, journal.Key{})
		}),
		// speak a b: nobody in particular says the lines "line a" to "line b".
		"speak": func(ctx context.Context, s *transcript.Scene, rest string) error {
			var from, to int
			if _, err := fmt.Sscan(rest, &from, &to); err != nil {
				return err
			}
			for i := from; i <= to; i++ {
				if _, err := s.Chats.Speak(chat.Speaker{}, fmt.Sprint("line ", i), journal.Key{}).Wait(ctx); err != nil {
					return err
				}
			}
			return nil
		},
		// login ann: she has an account, and $ann is the token of a new login.
		"login": func(ctx context.Context, s *transcript.Scene, name string) error {
			token, err := logIn(ctx, s.Core, name)
			s.Set(name, token)
			return err
		},
		// logout ann: the login of $ann ends.
		"logout": func(ctx context.Context, s *transcript.Scene, name string) error {
			_, l, err := s.Accounts.Authenticate(ctx, s.Value(name))
			if err != nil {
				return err
			}
			return s.Accounts.Logout(ctx, l)
		},
	}
}

func logIn(ctx context.Context, c *transcript.Core, name string) (string, error) {
	r := account.Registration{Email: name + "@example.org", Name: name, Password: "12345678"}
	if _, err := c.Accounts.Register(ctx, r); err != nil && !errors.Is(err, account.ErrAlreadyRegistered) {
		return "", err
	}
	token, _, _, err := c.Accounts.Login(ctx, account.LoginRequest{Name: r.Email, Password: r.Password, Gateway: "test"})
	return token, err
}

func TestTranscripts(t *testing.T) {
	for _, publish := range []feed.Publish{feed.Anyone, feed.Accounts, feed.Nobody} {
		t.Run(string(publish), func(t *testing.T) { transcript.Run(t, "testdata/"+string(publish)+"*.txt", options(publish)) })
	}
}

// client is a connection of a test.
type client struct {
	*websocket.Conn
	t testing.TB
}

func connect(t testing.TB, s *transcript.Server, query string, header http.Header) client {
	t.Helper()
	return connectBy(t, http.DefaultClient, s, query, header)
}

// narrow is an HTTP client whose connections take little that is not read.
func narrow(t testing.TB) *http.Client {
	t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			err = nc.(*net.TCPConn).SetReadBuffer(256 << 10)
		}
		return nc, err
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func connectBy(t testing.TB, by *http.Client, s *transcript.Server, query string, header http.Header) client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, res, err := websocket.Dial(ctx, s.URL+feed.Path+"?"+query, &websocket.DialOptions{HTTPClient: by, HTTPHeader: header})
	if err != nil {
		if res != nil {
			b, _ := io.ReadAll(res.Body)
			t.Fatalf("%v: %s", err, b)
		}
		t.Fatal(err)
	}
	c.SetReadLimit(1 << 20)
	t.Cleanup(func() { _ = c.CloseNow() })
	return client{c, t}
}

func (c client) say(text string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		c.t.Error(err)
	}
}

func (c client) hear() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	k, p, err := c.Read(ctx)
	if err == nil && k != websocket.MessageText {
		err = errors.New("a binary frame")
	}
	return string(p), err
}

func (c client) hears(want string) {
	c.t.Helper()
	if got, err := c.hear(); err != nil || got != want {
		c.t.Fatalf("heard %q, %v; want %q", got, err, want)
	}
}

func login(t testing.TB, s *transcript.Server, name string) http.Header {
	t.Helper()
	token, err := logIn(t.Context(), s.Core, name)
	if err != nil {
		t.Fatal(err)
	}
	return http.Header{"Authorization": {"Bearer " + token}}
}

func speak(t testing.TB, s *transcript.Server, text string) {
	t.Helper()
	if _, err := s.Chats.Speak(chat.Speaker{}, text, journal.Key{}).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestALineArrivesByteForByte(t *testing.T) {
	s := transcript.Start(t, options(feed.Anyone))
	a, b, c := connect(t, s, "", nil), connect(t, s, "", nil), connect(t, s, "", nil)
	lines := []string{
		"halo", " spaces around ", "\ttab\r\n", "\x00nul", `"quoted" \ & <b>`, "\u2028\ufeff\ufffd", "😀 e\u0301", `{"kind":"line"}`,
		strings.Repeat("x", 4096), strings.Repeat("ä", 2048),
	}
	for _, line := range lines {
		a.say(line)
		b.hears(line)
		c.hears(line)
	}
	b.say("the end")
	a.hears("the end") // and so nothing of its own
	a.say(strings.Repeat("x", 4097))
	if _, err := a.hear(); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Fatalf("got %v, want 1009", err)
	}
}

func TestEverybodyHearsTheSameOrder(t *testing.T) {
	const people, each = 100, 300
	s := transcript.Start(t, options(feed.Anyone))
	clients := make([]client, people)
	for i := range clients {
		clients[i] = connect(t, s, "", nil)
	}
	heard := make([][]string, people)
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			for range each {
				line, err := c.hear()
				if err != nil {
					t.Errorf("subscriber %d: %v", i, err)
					return
				}
				heard[i] = append(heard[i], line)
			}
		})
	}
	speakers := []client{connect(t, s, "", nil), connect(t, s, "", nil), connect(t, s, "", nil)}
	for i, c := range speakers {
		wg.Go(func() { // they hear each other, and must be read
			for range each / len(speakers) * (len(speakers) - 1) {
				if _, err := c.hear(); err != nil {
					t.Error(err)
					return
				}
			}
		})
		wg.Go(func() {
			for n := range each / len(speakers) {
				c.say(fmt.Sprintf("%d of %d", n, i))
			}
		})
	}
	wg.Wait()
	want := strings.Join(heard[0], "\n")
	for i := range heard {
		if got := strings.Join(heard[i], "\n"); got != want {
			t.Fatalf("subscriber %d heard another order", i)
		}
	}
	next := make([]int, len(speakers))
	for _, line := range heard[0] {
		var n, i int
		if _, err := fmt.Sscanf(line, "%d of %d", &n, &i); err != nil || n != next[i] {
			t.Fatalf("heard %q where number %d was due", line, next[i])
		}
		next[i]++
	}
}

// flood speaks until so many have fallen behind, and says how many lines that took.
func flood(t *testing.T, s *transcript.Server, behind int64) (n int) {
	t.Helper()
	for deadline := time.Now().Add(patience); s.Hub.Stats().Fallbacks < behind; {
		if time.Now().After(deadline) {
			t.Fatalf("after %d lines nobody is too slow", n)
		}
		var last *journal.Pending
		for range 50 {
			last = s.Chats.Speak(chat.Speaker{}, fmt.Sprintf("%06d %s", n, strings.Repeat("x", 4000)), journal.Key{})
			n++
		}
		if _, err := last.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestASlowReaderCatchesUp(t *testing.T) {
	s := transcript.Start(t, options(feed.Anyone))
	c := connectBy(t, narrow(t), s, "", nil)
	for i := range flood(t, s, 1) {
		line, err := c.hear()
		if err != nil || !strings.HasPrefix(line, fmt.Sprintf("%06d ", i)) {
			t.Fatalf("heard %.20q, %v; want number %d", line, err, i)
		}
	}
	speak(t, s, "still here")
	c.hears("still here")
}

func TestWhoSkipsIsToldHowMany(t *testing.T) {
	s := transcript.Start(t, options(feed.Anyone))
	told := connectBy(t, narrow(t), s, "format=json&slow=skip", nil)
	plain := connectBy(t, narrow(t), s, "slow=skip", nil)
	much := flood(t, s, 2)

	skipped, next := 0, 1
	for next <= much {
		text, err := told.hear()
		if err != nil {
			t.Fatal(err)
		}
		var f struct {
			Kind       string
			Seq, Count int
		}
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			t.Fatal(err)
		}
		switch {
		case f.Kind == "skipped":
			skipped += f.Count
			next += f.Count
		case f.Seq == next:
			next++
		default:
			t.Fatalf("heard %.60q where number %d was due", text, next)
		}
	}
	if skipped == 0 || skipped == much {
		t.Fatalf("%d of %d were skipped: the test proves nothing", skipped, much)
	}
	speak(t, s, "still here")
	if text, err := told.hear(); err != nil || !strings.Contains(text, "still here") {
		t.Fatalf("heard %q, %v", text, err)
	}

	over := make(chan struct{})
	var ending sync.WaitGroup
	ending.Go(func() { // the first of them may be skipped too
		for {
			s.Chats.Speak(chat.Speaker{}, "the end", journal.Key{})
			select {
			case <-over:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	defer ending.Wait()
	defer close(over)
	for last := -1; ; { // in plain there are lines, and nothing else
		text, err := plain.hear()
		if err != nil {
			t.Fatal(err)
		}
		if text == "the end" {
			return
		}
		var n int
		if _, err := fmt.Sscanf(text, "%06d xxx", &n); err != nil && text != "still here" || len(text) == 4007 && n <= last {
			t.Fatalf("heard %.40q after number %d", text, last)
		}
		last = max(n, last)
	}
}

// Presence is told by a clock of its own, which a transcript does not wait for.
func TestPresence(t *testing.T) {
	s := transcript.Start(t, options(feed.Anyone))
	ann := connect(t, s, "format=json&presence=1&name=Ann", nil)
	ann.hears(`{"kind":"here","names":["Ann"],"count":1}`)
	quiet := connect(t, s, "", nil)
	ann.hears(`{"kind":"joined","names":[],"count":2}`)
	bob := connect(t, s, "format=json&presence=1&name=Bob", nil)
	bob.hears(`{"kind":"here","names":["Ann","Bob"],"count":3}`)
	ann.hears(`{"kind":"joined","names":["Bob"],"count":3}`)
	bob.hears(`{"kind":"joined","names":["Bob"],"count":3}`)
	if err := bob.Close(1000, ""); err != nil {
		t.Fatal(err)
	}
	ann.hears(`{"kind":"left","names":["Bob"],"count":2}`)
	speak(t, s, "hush")
	quiet.hears("hush")
}

// The pong acknowledges on the feed, and leaves the login's inbox alone.
func TestAPongAcknowledges(t *testing.T) {
	o := options(feed.Anyone)
	o.Sockets.PingEvery = 20 * time.Millisecond
	s := transcript.Start(t, o)
	ann := login(t, s, "ann")
	c := connect(t, s, "after=last", ann)
	speak(t, s, "one")
	c.hears("one")
	owner := account.LoginCredential(1)
	reading, stop := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() { // only who reads answers pings
		defer close(stopped)
		if _, text, err := c.Read(reading); err == nil {
			t.Errorf("nobody said %q", text)
		}
	}()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if seq, ok, err := s.Acked.Position(t.Context(), owner+"/feed"); err == nil && ok && seq == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing was acknowledged")
		}
	}
	stop()
	<-stopped
	if _, ok, err := s.Acked.Position(t.Context(), owner); ok || err != nil {
		t.Fatalf("the inbox was acknowledged: %v, %v", ok, err)
	}
	speak(t, s, "two")
	d := connect(t, s, "after=last", ann)
	d.hears("two")
}

func get(t *testing.T, url string, header http.Header) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	r.Close = true
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, b
}

func TestThePage(t *testing.T) {
	s := transcript.Start(t, options(feed.Accounts))
	for path, mediaType := range map[string]string{
		"/": "text/html; charset=utf-8", "/_feed/page.css": "text/css; charset=utf-8", "/_feed/page.js": "text/javascript; charset=utf-8",
		"/_feed/stream.js": "text/javascript; charset=utf-8", "/_feed/words.js": "text/javascript; charset=utf-8", "/_feed/icon.svg": "image/svg+xml",
	} {
		res, body := get(t, s.URL+path, nil)
		h := res.Header
		if res.StatusCode != http.StatusOK || h.Get("Content-Type") != mediaType || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %s, %v", path, res.Status, h)
		}
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if bytes.Contains(body, []byte("{{")) || bytes.Contains(bytes.ReplaceAll(body, []byte("http://www.w3.org/2000/svg"), nil), []byte("://")) {
			t.Errorf("%s is not filled in, or names another server", path)
		}
		again, empty := get(t, s.URL+path, http.Header{"If-None-Match": {h.Get("ETag")}})
		if again.StatusCode != http.StatusNotModified || len(empty) != 0 {
			t.Errorf("%s: asked again: %s", path, again.Status)
		}
	}
	if _, body := get(t, s.URL+"/", nil); !bytes.Contains(body, []byte(`data-publish="accounts" data-limit="4096"`)) {
		t.Error("the page is not told how the server is set")
	}
	for _, path := range []string{"/_feed/index.html", "/_feed/page.go", "/_feed/", "/index.html"} {
		if res, _ := get(t, s.URL+path, nil); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}
