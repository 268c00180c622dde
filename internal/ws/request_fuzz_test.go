package ws

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A script is a connection whose peer sends some bytes and ends.
type script struct {
	in     *bytes.Reader
	out    bytes.Buffer
	closed chan struct{}

	asked *http.Request // the first one that reached the handler
	rest  []byte        // what came behind it
}

func (s *script) Read(p []byte) (int, error)       { return s.in.Read(p) }
func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

func (s *script) Close() error {
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	return nil
}

// A theirServer is the listener of a server of net/http's.
type theirServer struct {
	scripts chan *script
	done    chan struct{}
}

func (l *theirServer) Addr() net.Addr { return &net.TCPAddr{} }

func (l *theirServer) Accept() (net.Conn, error) {
	select {
	case s := <-l.scripts:
		return s, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *theirServer) Close() error {
	select {
	case <-l.done:
	default:
		close(l.done)
	}
	return nil
}

type scriptKey struct{}

// netHTTP is a real server of net/http's, to be asked what it makes of bytes.
func netHTTP(tb testing.TB) *theirServer {
	tb.Helper()
	l := &theirServer{scripts: make(chan *script), done: make(chan struct{})}
	server := &http.Server{
		ErrorLog:          log.New(io.Discard, "", 0),
		ReadHeaderTimeout: time.Minute,
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return context.WithValue(ctx, scriptKey{}, nc)
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, _ := r.Context().Value(scriptKey{}).(*script)
			nc, buf, err := http.NewResponseController(w).Hijack()
			if err != nil {
				tb.Error(err)
				return
			}
			s.asked = r
			early, _ := buf.Reader.Peek(buf.Reader.Buffered())
			s.rest, _ = io.ReadAll(s.in)
			s.rest = slices.Concat(early, s.rest)
			_ = nc.Close()
		}),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l)
	}()
	tb.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return l
}

// ask sends b to net/http: the request that it took b for, or its answer's
// status, or neither when it waits for more.
func (l *theirServer) ask(tb testing.TB, b []byte) (s *script, status int) {
	tb.Helper()
	s = &script{in: bytes.NewReader(b), closed: make(chan struct{})}
	l.scripts <- s
	receive(tb, s.closed)
	if rs, err := http.ReadResponse(bufio.NewReader(&s.out), nil); err == nil && s.asked == nil {
		_ = rs.Body.Close()
		status = rs.StatusCode
	}
	return s, status
}

// routed is how a port of net/http's tells an upgrade. It does not ask
// IsUpgrade: it is what that has to agree with.
func routed(r *http.Request) bool {
	return r != nil && slices.ContainsFunc(strings.Split(strings.Join(r.Header["Upgrade"], ","), ","), func(s string) bool {
		return strings.EqualFold(strings.TrimSpace(s), "websocket")
	})
}

// word is parseHead's answer in a word: upgrade, http, more, or a status.
func word(r *Request, n int, upgrade bool, f *Refusal) string {
	switch {
	case upgrade && r != nil && f == nil && n > 0:
		return "upgrade"
	case upgrade || r != nil:
		return "contradiction"
	case f != nil:
		return strconv.Itoa(f.Status)
	case n > 0:
		return "http"
	}
	return "more"
}

// judge gives both parsers the same bytes and holds their answers against each
// other. It returns them in a word each.
func judge(t *testing.T, l *theirServer, b []byte) (ours, theirs string) {
	t.Helper()
	given := bytes.Clone(b)
	r, n, up, f := parseHead(given)
	ours = word(r, n, up, f)
	s, status := l.ask(t, b)
	switch {
	case routed(s.asked):
		theirs = "upgrade"
	case s.asked != nil:
		theirs = "http"
	case status != 0:
		theirs = strconv.Itoa(status)
	}
	switch ours {
	case "upgrade":
		if theirs != "upgrade" {
			t.Errorf("an upgrade here, net/http says %s: %q", theirs, b)
			return ours, theirs
		}
		same(t, r, s.asked, b)
		if !bytes.Equal(b[n:], s.rest) {
			t.Errorf("behind the head comes %q, for net/http %q: %q", b[n:], s.rest, b)
		}
		if !bytes.EqualFold(given, b) || !bytes.Equal(given[n:], b[n:]) {
			t.Errorf("more than the case of names was changed: %q to %q", b, given)
		}
	case "http", "more":
		if theirs == "upgrade" || ours == "more" && theirs == "http" {
			t.Errorf("%s here, net/http says %s: %q", ours, theirs, b)
		}
		if !bytes.Equal(given, b) {
			t.Errorf("%q was changed to %q", b, given)
		}
	case "400", "417", "431":
		if theirs == "upgrade" && n > 0 && plain(b[:n], s.asked) {
			t.Errorf("refused with %s for nothing: %q", ours, b)
		}
	default:
		t.Errorf("%s: %q", ours, b)
	}
	return ours, theirs
}

// same compares a request with net/http's.
func same(t *testing.T, r *Request, hr *http.Request, b []byte) {
	t.Helper()
	want := requestOf(hr)
	theirs := maps.Clone(hr.Header)
	// net/http reads an old Pragma: no-cache as this, if there is no such field.
	if v := theirs["Pragma"]; len(v) > 0 && v[0] == "no-cache" && r.Header.Values("Cache-Control") == nil &&
		slices.Equal(theirs["Cache-Control"], []string{"no-cache"}) {
		delete(theirs, "Cache-Control")
	}
	ours := http.Header{}
	for _, f := range r.Header {
		ours[f.Name] = append(ours[f.Name], f.Value)
	}
	if !reflect.DeepEqual(ours, theirs) {
		t.Errorf("%q has\n%+v, for net/http\n%+v", b, ours, theirs)
	}
	bare := *r
	bare.Header, want.Header = nil, nil
	if !reflect.DeepEqual(&bare, want) {
		t.Errorf("%q is\n%+v, for net/http\n%+v", b, &bare, want)
	}
	if !IsUpgrade(r.Header.Values("Upgrade")) {
		t.Errorf("%q is none for IsUpgrade", b)
	}
}

// plain says whether there is nothing in an upgrade that net/http tolerates and
// parseHead does not.
func plain(head []byte, hr *http.Request) bool {
	named := func(name string) int { return bytes.Count(bytes.ToLower(head), []byte("\n"+name)) }
	return bytes.Count(head, []byte("\n")) == bytes.Count(head, []byte("\r\n")) &&
		bytes.Count(head, []byte("\n")) <= maxFields+2 && !bytes.ContainsAny(head, "#") &&
		named(" ") == 0 && named("\t") == 0 && named("host:") == 1 &&
		named("expect:") == 0 && named("transfer-encoding:") == 0 &&
		(named("content-length:") == 0 || named("content-length:") == 1 && hr.Header.Get("Content-Length") == "0") &&
		strings.HasPrefix(hr.RequestURI, "/")
}

// byByte feeds a head as it may come in: no end of it may be guessed before it
// is there, and nothing behind it may change what is said about it.
func byByte(t *testing.T, b []byte) {
	t.Helper()
	r, n, up, f := parseHead(bytes.Clone(b))
	want := word(r, n, up, f)
	most := len(b)
	if n > 0 {
		most = n - 1
	} else if want == "431" {
		most = maxHead - 1
	}
	for i := range most + 1 {
		if r, n, up, f := parseHead(b[:i]); word(r, n, up, f) != "more" || n != 0 {
			t.Fatalf("after %d bytes: %s, %d: %q", i, word(r, n, up, f), n, b)
		}
	}
	if want == "more" {
		return
	}
	for i := most + 1; i <= len(b); i += 1 + (len(b)-most)/20 {
		if r, m, up, f := parseHead(bytes.Clone(b[:i])); word(r, m, up, f) != want || m != n {
			t.Fatalf("with %d bytes %s, %d; all at once %s, %d: %q", i, word(r, m, up, f), m, want, n, b)
		}
	}
}

func FuzzHead(f *testing.F) {
	for _, tt := range heads {
		f.Add([]byte(tt.head))
	}
	f.Add([]byte(browserHead))
	l := netHTTP(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) <= maxHead { // net/http takes longer ones
			judge(t, l, b)
		}
		byByte(t, b)
	})
}

// pieces is what heads are bent with.
var pieces = []string{
	"", " ", "\t", "\r", "\n", "\r\n", "\r\n ", "\r\n\t", "\r\n\r\n", ":", ",", ";", "/", "?", "#", "%", "%41", "%2", "*", "@", "[", "]", "+", "-", "0", "9",
	"\x00", "\x7f", "\x80", "\xff", "\u00a0", "\u017f", "\u212a", "GET ", "HEAD ", "CONNECT ", "OPTIONS ", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "http://", "https://", "//",
	"Upgrade", "upgrade: ", "websocket", "h2c", "Host: x\r\n", "hOST:\r\n", "Content-Length: 0\r\n", "content-length:", "Transfer-Encoding: chunked\r\n", "transfer-encoding: ",
	"Expect: 100-continue\r\n", "Expect:\r\n", "Trailer: X\r\n", "Pragma: no-cache\r\n", "Cookie: a\r\n", "x-Y-z:1\r\n", "Connection: close\r\n", ":\r\n", "x: \r\n",
}

// FuzzHeadBent puts pieces into a good head and takes bytes out of it: three
// bytes say where, what and how many.
func FuzzHeadBent(f *testing.F) {
	for i := range pieces {
		f.Add([]byte{0, byte(i), 0, byte(7 * i), byte(i), 1})
	}
	l := netHTTP(f)
	f.Fuzz(func(t *testing.T, edits []byte) {
		head := []byte(withLine("GET /ws?a=1 HTTP/1.1"))
		for e := range slices.Chunk(edits[:min(len(edits), 60)], 3) {
			if len(e) == 3 {
				at := int(e[0]) % len(head)
				head = slices.Replace(head, at, min(at+int(e[2]%16), len(head)), []byte(pieces[int(e[1])%len(pieces)])...)
			}
			if len(head) == 0 {
				return
			}
		}
		judge(t, l, head)
		byByte(t, head)
	})
}
