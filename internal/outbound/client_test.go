package outbound

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func client(t *testing.T, o Options) *Client {
	t.Helper()
	if o.Allow == nil {
		o.Allow = loopback
	}
	c := New(o)
	t.Cleanup(c.Close)
	return c
}

// raw is a server that says what it likes to each connection.
func raw(t *testing.T, serve func(conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.Copy(io.Discard, r.Body)
					serve(conn)
				}
			}()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return "http://" + l.Addr().String() + "/hook"
}

func TestPost(t *testing.T) {
	var got atomic.Pointer[http.Request]
	var body atomic.Value
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body.Store(string(b))
		got.Store(r)
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "busy"+strings.Repeat(".", 2000))
	}))
	defer s.Close()
	c := client(t, Options{})
	a, err := c.Post(t.Context(), webhook.Request{URL: s.URL + "/a?b=c", Header: map[string]string{"webhook-id": "1", "User-Agent": "x"}, Body: []byte("{}")})
	if err != nil || a.Status != 503 || a.RetryAfter != 7*time.Second || string(a.Body) != "busy"+strings.Repeat(".", webhook.MaxAnswer-4) {
		t.Fatalf("%+v, %v", a, err)
	}
	r := got.Load()
	_, keyed := r.Header["X-Idempotency-Key"]
	if r.Method != http.MethodPost || r.URL.String() != "/a?b=c" || r.Header.Get("webhook-id") != "1" || r.UserAgent() != "x" || body.Load() != "{}" ||
		r.ContentLength != 2 || keyed || r.Header.Get("Accept-Encoding") != "" {
		t.Errorf("it got %s %s %v with %v", r.Method, r.URL, r.Header, body.Load())
	}
}

// TestNoRedirect sees that a redirect is an answer, wherever it leads.
func TestNoRedirect(t *testing.T) {
	var second atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/first" {
			second.Add(1)
			return
		}
		http.Redirect(w, r, "/second", http.StatusTemporaryRedirect)
	}))
	defer s.Close()
	c := client(t, Options{})
	a, err := c.Post(t.Context(), webhook.Request{URL: s.URL + "/first"})
	if err != nil || a.Status != 307 || second.Load() != 0 {
		t.Errorf("%+v, %v, followed %d times", a, err, second.Load())
	}
}

// TestLocationIsNotRead sees that what a redirect names is nobody's here, also
// where it is nonsense.
func TestLocationIsNotRead(t *testing.T) {
	to := raw(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 302 Found\r\nLocation: http://%zz/secret\r\nContent-Length: 0\r\n\r\n")
	})
	a, err := client(t, Options{}).Post(t.Context(), webhook.Request{URL: to})
	if err != nil || a.Status != http.StatusFound {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestNoOtherProtocol has a host answer with 101, and then keep the connection
// open: the caller is not held by it.
func TestNoOtherProtocol(t *testing.T) {
	ended := make(chan struct{}, 2)
	to := raw(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
		ended <- struct{}{}
	})
	c := client(t, Options{Timeout: time.Hour})
	for name, f := range map[string]func() error{
		"post": func() error {
			_, err := c.Post(t.Context(), webhook.Request{URL: to, Body: []byte("{}")})
			return err
		},
		"call": func() error {
			_, err := c.Call(t.Context(), process.Request{Method: http.MethodPost, URL: to, MaxAnswer: 9})
			return err
		},
	} {
		done := make(chan error, 1)
		go func() { done <- f() }()
		select {
		case err := <-done:
			if !errors.Is(err, errUpgraded) || status.Of(err).Code != status.Unavailable {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s is held", name)
		}
		<-ended // the connection was given back
	}
}

// TestNoProxy sees that no variable of the environment leads requests away.
func TestNoProxy(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	if c := client(t, Options{}); c.transport.Proxy != nil {
		t.Error("a proxy is asked")
	}
}

// TestBadReceivers sees what a receiver can do to one try: nothing.
func TestBadReceivers(t *testing.T) {
	t.Parallel()
	much := strings.Repeat("x", 64<<10)
	head := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
	for name, c := range map[string]struct {
		serve func(conn net.Conn)
		want  int    // 0: an error
		words string // of the error
	}{
		"nonsense": {serve: func(conn net.Conn) { _, _ = io.WriteString(conn, "hello there\r\n\r\n") }, words: "the connection failed"},
		"nothing":  {serve: func(net.Conn) {}, words: "without an answer"},
		"reset": {serve: func(conn net.Conn) {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}, words: "the connection failed"},
		"never": {serve: func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }, words: "no answer in time"},
		"a byte a moment": {serve: func(conn net.Conn) {
			for i := range head {
				if _, err := io.WriteString(conn, head[i:i+1]); err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		}, words: "no answer in time"},
		"a head without end": {serve: func(conn net.Conn) {
			_, _ = io.WriteString(conn, head)
			for {
				if _, err := io.WriteString(conn, "X-A: "+much[:1000]+"\r\n"); err != nil {
					return
				}
			}
		}, words: "the connection failed"},
		"many heads": {serve: func(conn net.Conn) {
			for {
				if _, err := io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\nLink: "+much[:1000]+"\r\n\r\n"); err != nil {
					return
				}
			}
		}, words: "the connection failed"},
		"a gigabyte": {serve: func(conn net.Conn) {
			_, _ = io.WriteString(conn, head+"Content-Length: 1073741824\r\n\r\n")
			for n := 0; n < 1<<25; n += len(much) { // what is read no more stays in the buffers between
				if _, err := io.WriteString(conn, much); err != nil {
					return
				}
			}
			t.Error("it was read on")
		}, want: 200},
		"a body without end": {serve: func(conn net.Conn) {
			_, _ = io.WriteString(conn, head+"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
			_, _ = io.Copy(io.Discard, conn)
		}, want: 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := raw(t, c.serve)
			limit := time.Hour
			if c.words == "no answer in time" {
				limit = time.Second
			}
			a, err := client(t, Options{Timeout: limit}).Post(t.Context(), webhook.Request{URL: to, Body: []byte("{}")})
			if a.Status != c.want || c.want == 0 && (err == nil || !strings.Contains(err.Error(), c.words)) || c.want != 0 && err != nil {
				t.Errorf("%+v, %v", a, err)
			}
			if err != nil && (status.Of(err).Code == status.Internal || strings.Contains(err.Error(), "/hook")) {
				t.Errorf("it says too much, or nothing: %v", err)
			}
		})
	}
}

func TestGivesUpWithItsCaller(t *testing.T) {
	to := raw(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := client(t, Options{Timeout: time.Hour}).Post(ctx, webhook.Request{URL: to}); err == nil {
		t.Error("there was an answer")
	}
}

func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	_, err = client(t, Options{}).Post(t.Context(), webhook.Request{URL: "http://" + l.Addr().String()})
	if err == nil || err.Error() != "the connection failed: connection refused" {
		t.Errorf("got %v", err)
	}
	nobody := func(context.Context, string) ([]netip.Addr, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "x.test", Server: "10.0.0.53:53", IsNotFound: true}
	}
	_, err = client(t, Options{Lookup: nobody}).Post(t.Context(), webhook.Request{URL: "http://x.test"})
	if !errors.Is(err, errNoName) || strings.Contains(err.Error(), "10.0.0.53") {
		t.Errorf("got %v", err)
	}
}

func TestTLSIsVerified(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	s.Config.ErrorLog = nil
	_, err := client(t, Options{}).Post(t.Context(), webhook.Request{URL: s.URL})
	if status.Of(err).Reason != "CERTIFICATE_INVALID" {
		t.Errorf("a certificate of nobody's: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	if a, err := client(t, Options{Roots: roots}).Post(t.Context(), webhook.Request{URL: s.URL}); err != nil || a.Status != 200 {
		t.Errorf("a good one: %+v, %v", a, err)
	}
}

// TestConnectionIsUsedAgain sees that one that is closed when it is used again
// does not fail the try.
func TestConnectionIsUsedAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns, answered atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			in := bufio.NewReader(conn)
			for range 2 { // two are answered; the third is read, and its connection closed
				r, err := http.ReadRequest(in)
				if err != nil {
					break
				}
				_, _ = io.Copy(io.Discard, r.Body)
				answered.Add(1)
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nthanks")
			}
			if r, err := http.ReadRequest(in); err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			_ = conn.Close()
		}
	}()
	c := client(t, Options{})
	for n := range 6 {
		if a, err := c.Post(t.Context(), webhook.Request{URL: "http://" + l.Addr().String(), Body: []byte("{}")}); err != nil || a.Status != 200 {
			t.Errorf("%d: %+v, %v", n, a, err)
		}
	}
	if conns.Load() != 3 || answered.Load() != 6 {
		t.Errorf("%d connections, %d answers", conns.Load(), answered.Load())
	}
	c.Close()
	_ = l.Close()
	<-done
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, "-1": 0, "1.5": 0, "soon": 0, "99999999999999": 0,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Fri, 02 Jan 2026 03:03:05 GMT": 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
