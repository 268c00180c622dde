package ws

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// generous is how long a test waits for what must come.
const generous = 20 * time.Second

// funcs is a Handler made of what a test needs.
type funcs struct {
	message func(t *Turn, c *Conn, k Kind, p []byte)
	ping    func(c *Conn, dst []byte) []byte
	pong    func(c *Conn, p []byte)
	drain   func(c *Conn)
	closed  func(c *Conn, code uint16, reason string)
}

func (f *funcs) OnMessage(t *Turn, c *Conn, k Kind, p []byte) {
	if f.message != nil {
		f.message(t, c, k, p)
	}
}

func (f *funcs) Ping(c *Conn, dst []byte) []byte {
	if f.ping != nil {
		return f.ping(c, dst)
	}
	return dst
}

func (f *funcs) OnPong(c *Conn, p []byte) {
	if f.pong != nil {
		f.pong(c, p)
	}
}

func (f *funcs) OnDrain(c *Conn) {
	if f.drain != nil {
		f.drain(c)
	}
}

func (f *funcs) OnClose(_ *Turn, c *Conn, code uint16, reason string) {
	if f.closed != nil {
		f.closed(c, code, reason)
	}
}

func echo(t *Turn, _ *Conn, k Kind, p []byte) { t.Reply(k, p) }

// endings collects what OnClose says, and fails the test if it comes twice.
type endings struct {
	tb   testing.TB
	mu   sync.Mutex
	seen map[*Conn]bool
	ch   chan string
}

func newEndings(tb testing.TB) *endings {
	tb.Helper()
	return &endings{tb: tb, seen: map[*Conn]bool{}, ch: make(chan string, 10_000)}
}

func (e *endings) closed(c *Conn, code uint16, reason string) {
	e.mu.Lock()
	if e.seen[c] {
		e.tb.Error("OnClose was called twice")
	}
	e.seen[c] = true
	e.mu.Unlock()
	e.ch <- fmt.Sprintf("%d %s", code, reason)
}

func (e *endings) want(s string) {
	e.tb.Helper()
	if got := receive(e.tb, e.ch); got != s {
		e.tb.Errorf("OnClose(%s), want %s", got, s)
	}
}

func receive[T any](tb testing.TB, ch <-chan T) T {
	tb.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(generous):
		tb.Fatal("nothing came")
		panic("unreachable")
	}
}

func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(generous); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	tb.Fatalf("never: %s", what)
}

// site is a Server behind a real listener.
type site struct {
	*Server
	tb   testing.TB
	addr string
	ln   net.Listener
	wg   sync.WaitGroup
}

var quietLog = slog.New(slog.DiscardHandler)

func newSite(tb testing.TB, o Options, accept Acceptor) *site {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return newSiteOn(tb, ln, o, accept)
}

func newSiteOn(tb testing.TB, ln net.Listener, o Options, accept Acceptor) *site {
	tb.Helper()
	return newSiteBeside(tb, ln, o, accept, func(s *site, nc net.Conn) {
		s.wg.Go(func() { serveOne(s.Server, nc, accept) })
	})
}

// newSiteBeside is newSiteOn with somebody else who gets what is no WebSocket.
func newSiteBeside(tb testing.TB, ln net.Listener, o Options, accept Acceptor, foreign func(s *site, nc net.Conn)) *site {
	tb.Helper()
	if o.Log == nil {
		o.Log = quietLog
	}
	if o.PingEvery == 0 { // or a test that takes long would hear pings
		o.PingEvery = -1
	}
	s := &site{Server: New(o), tb: tb, addr: ln.Addr().String(), ln: ln}
	var other func(net.Conn)
	if foreign != nil {
		other = func(nc net.Conn) { foreign(s, nc) }
	}
	s.wg.Go(func() {
		if err := s.Listen(ln, accept, other); err != nil && !errors.Is(err, net.ErrClosed) {
			tb.Errorf("Listen: %v", err)
		}
	})
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), generous)
		defer cancel()
		_ = ln.Close()
		if err := s.Shutdown(ctx, nil); err != nil {
			tb.Errorf("Shutdown: %v", err)
		}
		s.wg.Wait()
		if n := s.Stats().Open; n != 0 {
			tb.Errorf("%d connections are left", n)
		}
	})
	return s
}

// serveOne reads one request and hands over, as an HTTP server would.
func serveOne(s *Server, nc net.Conn, accept Acceptor) {
	br := bufio.NewReader(nc)
	hr, err := http.ReadRequest(br)
	if err != nil {
		_ = nc.Close()
		return
	}
	buffered, _ := br.Peek(br.Buffered())
	s.Serve(nc, buffered, requestOf(hr), accept)
}

func requestOf(hr *http.Request) *Request {
	return &Request{
		Method: hr.Method, Proto: hr.Proto, Host: hr.Host, Path: hr.URL.Path, RawQuery: hr.URL.RawQuery,
		Header: HeaderOf(hr.Header), ContentLength: hr.ContentLength,
	}
}

// with is an Acceptor that takes everybody.
func with(h Handler, l *Limits) Acceptor {
	return func(*Request, *Conn) (Handler, *Limits, *Refusal) { return h, l, nil }
}

const opening = "GET /x?a=1 HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// peer is a client that can do what no client should.
type peer struct {
	tb testing.TB
	net.Conn
	br *bufio.Reader
}

func (s *site) dial() *peer {
	s.tb.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(2 * generous))
	return &peer{tb: s.tb, Conn: nc, br: bufio.NewReader(nc)}
}

// open dials and completes the handshake.
func (s *site) open() *peer {
	s.tb.Helper()
	p := s.dial()
	p.write([]byte(opening))
	p.wantOpen()
	return p
}

func (p *peer) wantOpen() {
	p.tb.Helper()
	rs, err := http.ReadResponse(p.br, nil)
	if err != nil {
		p.tb.Fatal(err)
	}
	if rs.StatusCode != http.StatusSwitchingProtocols || rs.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		p.tb.Fatalf("answer %d %v", rs.StatusCode, rs.Header)
	}
}

func (p *peer) write(b []byte) {
	p.tb.Helper()
	if _, err := p.Write(b); err != nil {
		p.tb.Fatal(err)
	}
}

// clientFrame is a masked frame; first is its first byte.
func clientFrame(first byte, payload []byte) []byte {
	b := AppendHeader(nil, false, first, len(payload))
	b[1] |= 0x80
	key := []byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, key...)
	n := len(b)
	b = append(b, payload...)
	mask(b[n:], binary.LittleEndian.Uint32(key))
	return b
}

const fin = 0x80

func (p *peer) send(first byte, payload string) {
	p.tb.Helper()
	p.write(clientFrame(first, []byte(payload)))
}

func (p *peer) sendClose(code uint16, reason string) {
	p.tb.Helper()
	p.send(fin|opClose, string([]byte{byte(code >> 8), byte(code)})+reason)
}

// next reads a frame of the server.
func (p *peer) next() (first byte, payload []byte, err error) {
	var b [maxHeader]byte
	n := 0
	for {
		c, err := p.br.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		b[n], n = c, n+1
		h, size, ok := parseHeader(b[:n])
		if !ok || h.masked {
			return 0, nil, fmt.Errorf("bad header % x", b[:n])
		}
		if size > 0 {
			payload = make([]byte, h.length)
			_, err := io.ReadFull(p.br, payload)
			return b[0], payload, err
		}
	}
}

func (p *peer) want(first byte, payload string) {
	p.tb.Helper()
	f, b, err := p.next()
	if err != nil {
		p.tb.Fatalf("want %x %.40q: %v", first, payload, err)
	}
	if f != first || string(b) != payload {
		p.tb.Fatalf("got %x %.60q (%d), want %x %.60q (%d)", f, b, len(b), first, payload, len(payload))
	}
}

// wantClose wants a Close frame and then the end of the stream.
func (p *peer) wantClose(code uint16) {
	p.tb.Helper()
	f, b, err := p.next()
	if err != nil {
		p.tb.Fatalf("want close %d: %v", code, err)
	}
	if f != fin|opClose {
		p.tb.Fatalf("got %x %.60q, want close %d", f, b, code)
	}
	if got, _, _ := parseClose(b); got != code {
		p.tb.Fatalf("got close %d %q, want %d", got, b, code)
	}
	p.wantEOF()
}

func (p *peer) wantEOF() {
	p.tb.Helper()
	if n, err := p.br.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		p.tb.Fatalf("got %d bytes, %v; want EOF", n, err)
	}
}

// wantGone wants no more than the end of the connection, in whatever form.
func (p *peer) wantGone() {
	p.tb.Helper()
	if _, err := io.Copy(io.Discard, p.br); err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			p.tb.Fatal("the connection is still there")
		}
	}
}

func newReader(nc net.Conn) *bufio.Reader { return bufio.NewReader(nc) }

func repeat(s string, n int) string { return strings.Repeat(s, n) }

func pattern(n int) []byte { return bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n] }
