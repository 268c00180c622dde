package ws

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func listenOn(tb testing.TB, network, address string) net.Listener {
	tb.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = ln.Close() })
	return ln
}

// However the request and the first frames are cut into segments, all of them
// are delivered, in order.
func TestFirstBytes(t *testing.T) {
	b := []byte(opening)
	for i := range 30 {
		b = append(b, clientFrame(fin|opText, fmt.Append(nil, i))...)
	}
	for _, size := range []int{len(b), len(opening) + 3, len(opening), len(opening) - 1, 7, 1} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			ends := newEndings(t)
			s := newSite(t, Options{Silent: 1}, with(&funcs{message: echo, closed: ends.closed}, nil))
			for range 2 { // the second would be one too many, if the first still counted
				p := s.dial()
				for rest := b; len(rest) > 0; {
					n := min(size, len(rest))
					p.write(rest[:n])
					if rest = rest[n:]; len(rest) > 0 {
						time.Sleep(200 * time.Microsecond)
					}
				}
				p.wantOpen()
				for i := range 30 {
					p.want(fin|opText, strconv.Itoa(i))
				}
				p.sendClose(1000, "")
				p.wantClose(1000)
				ends.want("1000 ")
			}
			if want := uint64(2 * (len(b) - len(opening) + len(clientFrame(0, []byte{0, 0})))); s.Stats().BytesIn != want {
				t.Errorf("%d bytes after the handshake, want %d", s.Stats().BytesIn, want)
			}
		})
	}
}

// A connection that is no WebSocket's comes to other with each of its bytes, and
// both ways are open.
func TestForeignBytes(t *testing.T) {
	head := "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\nX-Long: " + repeat("y", 5000) + "\r\n\r\n"
	for name, first := range map[string]string{"head": head, "garbage": "\x16\x03\x01\r\n\r\n", "empty line": "\r\n"} {
		for _, timeout := range []time.Duration{time.Second, time.Hour} {
			if timeout == time.Second && name != "head" {
				continue
			}
			t.Run(fmt.Sprint(name, timeout), func(t *testing.T) {
				// Nobody cuts it off when the time for a request is over.
				o := Options{HandshakeTimeout: timeout, Silent: 1}
				s := newSiteBeside(t, listenOn(t, "tcp", "127.0.0.1:0"), o, with(&funcs{}, nil), func(s *site, nc net.Conn) {
					s.wg.Go(func() {
						defer func() { _ = nc.Close() }()
						got, err := io.ReadAll(nc)
						if err != nil {
							s.tb.Errorf("other: %v", err)
						}
						_, _ = nc.Write(got)
						if err := nc.(halfCloser).CloseWrite(); err != nil {
							s.tb.Errorf("other: %v", err)
						}
						_, _ = io.Copy(io.Discard, nc)
					})
				})
				for range 2 {
					p := s.dial()
					all := append([]byte(first), pattern(300_000)...)
					if timeout == time.Second {
						p.write(all[:len(first)])
						time.Sleep(1500 * time.Millisecond)
						all = all[len(first):]
					}
					go func() {
						_, _ = p.Write(all)
						_ = p.Conn.(*net.TCPConn).CloseWrite()
					}()
					got, err := io.ReadAll(p.br)
					if err != nil || string(got) != first+string(pattern(300_000)) {
						t.Fatalf("%d bytes came back, %v; want %d", len(got), err, len(first)+300_000)
					}
					_ = p.Close()
				}
				if n := s.Stats().Open; n != 0 {
					t.Errorf("%d are counted as open", n)
				}
			})
		}
	}
}

// beside is net/http next to a Server, as gateways run it: it gets what is no
// WebSocket, and gives back who asks for one after all.
type beside struct {
	conns chan net.Conn
	done  chan struct{}
	addr  net.Addr
}

func (b *beside) Addr() net.Addr { return b.addr }
func (b *beside) Close() error   { return nil }
func (b *beside) Accept() (net.Conn, error) {
	select {
	case nc := <-b.conns:
		return nc, nil
	case <-b.done:
		return nil, net.ErrClosed
	}
}

// newSiteOfBoth answers POST with the checksum of the body, and takes an upgrade
// from net/http where the request has one that ws did not see first.
func newSiteOfBoth(t *testing.T, o Options, accept Acceptor) *site {
	t.Helper()
	ln := listenOn(t, "tcp", "127.0.0.1:0")
	b := &beside{conns: make(chan net.Conn, 100), done: make(chan struct{}), addr: ln.Addr()}
	s := newSiteBeside(t, ln, o, accept, func(_ *site, nc net.Conn) { b.conns <- nc })
	h := &http.Server{ReadHeaderTimeout: generous, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if IsUpgrade(r.Header["Upgrade"]) {
			nc, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			early, _ := rw.Reader.Peek(rw.Reader.Buffered())
			s.Serve(nc, early, requestOf(r), accept)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, _ = fmt.Fprintf(w, "%s %x", r.URL.Path, crc32.ChecksumIEEE(body))
	})}
	s.wg.Go(func() { _ = h.Serve(b) })
	t.Cleanup(func() { close(b.done); _ = h.Close() })
	return s
}

// exchange reads the answer of newSiteOfBoth to a POST.
func (p *peer) exchange(path string, body []byte) {
	p.tb.Helper()
	rs, err := http.ReadResponse(p.br, nil)
	if err != nil {
		p.tb.Fatal(err)
	}
	got, err := io.ReadAll(rs.Body)
	if want := fmt.Sprintf("%s %x", path, crc32.ChecksumIEEE(body)); err != nil || string(got) != want {
		p.tb.Fatalf("answer %q, %v; want %q", got, err, want)
	}
}

func post(path string, body []byte) []byte {
	return append(fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", path, len(body)), body...)
}

// Requests in one segment, long ones, and then an upgrade on the same connection.
func TestHTTPThenUpgrade(t *testing.T) {
	ends := newEndings(t)
	s := newSiteOfBoth(t, Options{Silent: 1}, with(&funcs{message: echo, closed: ends.closed}, nil))
	for range 3 {
		p := s.dial()
		var b []byte
		for i := range 5 {
			b = append(b, post(fmt.Sprintf("/%d", i), pattern(i*100))...)
		}
		p.write(b)
		for i := range 5 {
			p.exchange(fmt.Sprintf("/%d", i), pattern(i*100))
		}
		big := pattern(3 << 20)
		go func() { _, _ = p.Write(post("/big", big)) }()
		p.exchange("/big", big)
		b = append([]byte(opening), clientFrame(fin|opText, []byte("early"))...)
		p.write(append(b, clientFrame(fin|opText, []byte("too"))...))
		p.wantOpen()
		p.want(fin|opText, "early")
		p.want(fin|opText, "too")
		for _, c := range s.conns() {
			if got := c.RemoteAddr().String(); got != p.LocalAddr().String() {
				t.Errorf("RemoteAddr %s, want %s", got, p.LocalAddr())
			}
		}
		p.send(fin|opText, string(big))
		p.want(fin|opText, string(big))
		p.sendClose(1000, "")
		p.wantClose(1000)
		ends.want("1000 ")
		_ = p.Close()
		eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
	}
	early := len(clientFrame(0, []byte("early"))) + len(clientFrame(0, []byte("too")))
	if want := 3 * uint64(early+len(clientFrame(0, pattern(3<<20)))+len(clientFrame(0, []byte{0, 0}))); s.Stats().BytesIn != want {
		t.Errorf("%d bytes after the handshake, want %d", s.Stats().BytesIn, want)
	}
}

// Where there is nobody else, everything else is told 426.
func TestNobodyElse(t *testing.T) {
	s := newSiteBeside(t, listenOn(t, "tcp", "127.0.0.1:0"), Options{Silent: 1}, with(&funcs{}, nil), nil)
	for range 3 {
		p := s.dial()
		p.write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		rs, _ := readAnswer(t, p)
		if rs.StatusCode != http.StatusUpgradeRequired {
			t.Error(rs.Status)
		}
		_ = p.Close()
	}
	eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
	if n := s.Stats().Refused; n != 3 {
		t.Errorf("%d refused", n)
	}
}

func TestLongHead(t *testing.T) {
	s := newSite(t, Options{}, with(&funcs{}, nil))
	for _, head := range []string{
		"GET / HTTP/1.1\r\nX: " + repeat("x", 2*maxHead), // and no end
		repeat("x", 2*maxHead),
	} {
		p := s.dial()
		p.write([]byte(head))
		rs, _ := readAnswer(t, p)
		if rs.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Error(rs.Status)
		}
		_ = p.Close()
	}
	eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
}

// Who connects and does not come to the point is cut off, also one that says a
// little now and then.
func TestSilentPeers(t *testing.T) {
	const timeout = 250 * time.Millisecond
	s := newSite(t, Options{HandshakeTimeout: timeout}, with(&funcs{}, nil))
	for name, say := range map[string]func(p *peer) error{
		"nothing":      func(*peer) error { return nil },
		"half":         func(p *peer) error { _, err := p.Write([]byte("GET / HTT")); return err },
		"garbage":      func(p *peer) error { _, err := p.Write([]byte{0x16, 3, 1, 0, 200}); return err },
		"now and then": nil,
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			p := s.dial()
			if say == nil {
				eventually(t, "cut off", func() bool {
					time.Sleep(timeout / 20)
					_, err := p.Write([]byte("x"))
					return err != nil
				})
			} else {
				if err := say(p); err != nil {
					t.Fatal(err)
				}
				p.wantGone()
			}
			if d := time.Since(began); d < timeout/2 {
				t.Errorf("after %v", d)
			}
			_ = p.Close()
			eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
		})
	}
}

// The bound of silent connections holds for one address, and each way to leave
// it is counted back.
func TestSilentBound(t *testing.T) {
	for name, leave := range map[string]func(p *peer){
		"answer":     func(p *peer) { p.write([]byte(opening)); p.wantOpen() },
		"refusal":    func(p *peer) { p.write([]byte(strings.Replace(opening, "/x", "/no", 1))); p.wantGone() },
		"bad":        func(p *peer) { p.write([]byte(strings.Replace(opening, "Host: test", "Host", 1))); p.wantGone() },
		"long":       func(p *peer) { p.write(pattern(maxHead)); p.wantGone() },
		"foreign":    func(p *peer) { p.write([]byte("GET / HTTP/1.1\r\n\r\n")); p.wantGone() },
		"end":        func(p *peer) { _ = p.Close() },
		"reset":      func(p *peer) { _ = p.Conn.(*net.TCPConn).SetLinger(0); _ = p.Close() },
		"half close": func(p *peer) { p.write([]byte("GET")); _ = p.Conn.(*net.TCPConn).CloseWrite(); p.wantGone() },
		"timeout":    func(p *peer) { p.wantGone() },
		"shutdown":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Silent: 3, HandshakeTimeout: time.Hour}
			if name == "timeout" {
				o.HandshakeTimeout = 2 * time.Second
			}
			s := newSiteBeside(t, listenOn(t, "tcp", "127.0.0.1:0"), o, func(r *Request, _ *Conn) (Handler, *Limits, *Refusal) {
				if r.Path == "/no" {
					return nil, nil, &Refusal{}
				}
				return &funcs{}, nil, nil
			}, func(_ *site, nc net.Conn) { _ = nc.Close() })
			tryBound(t, s, leave)
		})
	}
}

// tryBound has as many silent peers as may be, and then all of them leave; nil is
// by Shutdown.
func tryBound(t *testing.T, s *site, leave func(*peer)) {
	t.Helper()
	count := func() (n int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, k := range s.silent {
			n += k
		}
		return n
	}
	var ps []*peer
	for range s.opt.Silent {
		ps = append(ps, s.dial())
	}
	eventually(t, "all are counted", func() bool { return count() == s.opt.Silent })
	s.dial().wantGone() // one too many
	if leave == nil {
		ctx, cancel := context.WithTimeout(context.Background(), generous)
		defer cancel()
		if err := s.Shutdown(ctx, nil); err != nil || count() != 0 {
			t.Errorf("%d are silent after Shutdown: %v", count(), err)
		}
		return
	}
	for _, p := range ps {
		leave(p)
	}
	eventually(t, "all are counted back", func() bool { return count() == 0 })
	s.open() // there is room again
}

func TestAddresses(t *testing.T) {
	for network, at := range map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"} {
		accept, conns := one(&funcs{message: echo}, nil)
		s := newSiteOn(t, listenOn(t, network, at), Options{}, accept)
		p := s.open()
		if got := (<-conns).RemoteAddr().String(); got != p.LocalAddr().String() {
			t.Errorf("RemoteAddr %s, want %s", got, p.LocalAddr())
		}
		p.send(fin|opText, "x")
		p.want(fin|opText, "x")
	}
	// An IPv4 peer of a listener of both is the same one as elsewhere.
	accept, conns := one(&funcs{}, nil)
	ln := listenOn(t, "tcp", "[::]:0")
	s := newSiteOn(t, ln, Options{}, accept)
	s.addr = fmt.Sprintf("127.0.0.1:%d", ln.Addr().(*net.TCPAddr).Port)
	p := s.open()
	if got := (<-conns).RemoteAddr().String(); got != p.LocalAddr().String() {
		t.Errorf("RemoteAddr %s, want %s", got, p.LocalAddr())
	}
}

func TestUnix(t *testing.T) {
	ends := newEndings(t)
	path := filepath.Join(t.TempDir(), "s")
	s := newSiteOn(t, listenOn(t, "unix", path), Options{}, with(&funcs{message: echo, closed: ends.closed}, nil))
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	p := &peer{tb: t, Conn: nc, br: newReader(nc)}
	p.write(append([]byte(opening), clientFrame(fin|opText, pattern(100_000))...))
	p.wantOpen()
	p.want(fin|opText, string(pattern(100_000)))
	p.sendClose(1000, "")
	p.wantClose(1000)
	ends.want("1000 ")
	_ = p.Close()
	eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
}

// TLS is net/http's, which hands over who upgrades.
func TestTLSServe(t *testing.T) {
	ends := newEndings(t)
	s := New(Options{Log: quietLog})
	accept := with(&funcs{message: echo, closed: ends.closed}, nil)
	ln := listenOn(t, "tcp", "127.0.0.1:0")
	h := &http.Server{ReadHeaderTimeout: generous, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		early, _ := rw.Reader.Peek(rw.Reader.Buffered())
		s.Serve(nc, early, requestOf(r), accept)
	}), TLSConfig: &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}}
	served := make(chan error, 1)
	go func() { served <- h.ServeTLS(ln, "", "") }()
	nc, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{tb: t, Conn: nc, br: newReader(nc)}
	p.write(append([]byte(opening), clientFrame(fin|opText, []byte("early"))...))
	p.wantOpen()
	p.want(fin|opText, "early")
	p.send(fin|opText, string(pattern(100_000)))
	p.want(fin|opText, string(pattern(100_000)))
	p.sendClose(1000, "")
	p.wantClose(1000)
	ends.want("1000 ")
	_ = nc.Close()
	ctx, cancel := context.WithTimeout(context.Background(), generous)
	defer cancel()
	if err := errors.Join(s.Shutdown(ctx, nil), h.Shutdown(ctx)); err != nil {
		t.Error(err)
	}
	<-served
}

// A Server listens at several places; each Listen returns when its listener is
// closed, or all are with Shutdown, whoever closes what.
func TestListenEnds(t *testing.T) {
	s := New(Options{Log: quietLog})
	accept := with(&funcs{message: echo}, nil)
	type end struct {
		which int
		err   error
	}
	ended := make(chan end, 3)
	var sites []*site
	for i := range 3 {
		ln := listenOn(t, "tcp", "127.0.0.1:0")
		sites = append(sites, &site{Server: s, tb: t, addr: ln.Addr().String(), ln: ln})
		go func() { ended <- end{i, s.Listen(ln, accept, nil)} }()
	}
	hello := func(s *site) {
		t.Helper()
		p := s.open()
		p.send(fin|opText, "x")
		p.want(fin|opText, "x")
		_ = p.Close()
	}
	for _, s := range sites {
		hello(s)
	}
	_ = sites[1].ln.Close()
	if e := receive(t, ended); e.which != 1 || !errors.Is(e.err, net.ErrClosed) {
		t.Errorf("%+v", e)
	}
	hello(sites[0])
	hello(sites[2])
	ctx, cancel := context.WithTimeout(context.Background(), generous)
	defer cancel()
	if err := s.Shutdown(ctx, nil); err != nil {
		t.Error(err)
	}
	for range 2 {
		if e := receive(t, ended); e.err != nil {
			t.Errorf("%+v", e)
		}
	}
	if err := s.Listen(listenOn(t, "tcp", "127.0.0.1:0"), accept, nil); err != nil {
		t.Errorf("after Shutdown: %v", err)
	}
	ln := listenOn(t, "tcp", "127.0.0.1:0")
	_ = ln.Close()
	late := New(Options{Log: quietLog})
	if err := late.Listen(ln, accept, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("with a closed listener: %v", err)
	}
	if err := late.Shutdown(ctx, nil); err != nil {
		t.Error(err)
	}
}

// A peer that has reset its connection before it is accepted is still somebody: a
// server that asked the kernel only then would learn of no address.
func TestHandedAfterAReset(t *testing.T) {
	ln := listenOn(t, "tcp", "127.0.0.1:0")
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(nc.(*net.TCPConn).SetLinger(0), nc.Close()); err != nil {
		t.Fatal(err)
	}
	from := make(chan net.Addr, 1)
	newSiteBeside(t, ln, Options{}, with(&funcs{}, nil), func(_ *site, other net.Conn) {
		from <- other.RemoteAddr()
		_ = other.Close()
	})
	select {
	case got := <-from:
		if got == nil || got.String() != nc.LocalAddr().String() {
			t.Errorf("it comes from %v, not %v", got, nc.LocalAddr())
		}
	case <-time.After(20 * time.Second):
		t.Error("it never came")
	}
}

// handed gives back what was read, in pieces if need be.
func TestHanded(t *testing.T) {
	a, b := net.Pipe()
	h := &handed{Conn: b, early: []byte("abc")}
	go func() { _, _ = a.Write([]byte("def")); _ = a.Close() }()
	var got bytes.Buffer
	if _, err := io.CopyBuffer(&got, struct{ io.Reader }{h}, make([]byte, 2)); err != nil || got.String() != "abcdef" {
		t.Errorf("%q, %v", got.String(), err)
	}
	if err := h.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}

// More connections at once than are accepted at a time: nobody is forgotten.
func TestManyAtOnce(t *testing.T) {
	const n = 400
	g := newGate(t)
	s := newSite(t, Options{}, with(&funcs{message: func(tn *Turn, _ *Conn, k Kind, p []byte) {
		if string(p) == "wait" {
			g.wait()
		}
		tn.Reply(k, p)
	}}, nil))
	holder := s.open()
	holder.send(fin|opText, "wait")
	eventually(t, "it waits", func() bool { return g.waiting.Load() == 1 })
	var ps []*peer
	for range n {
		p := s.dial()
		p.write(append([]byte(opening), clientFrame(fin|opText, []byte("x"))...))
		ps = append(ps, p)
	}
	g.release()
	for _, p := range ps {
		p.wantOpen()
		p.want(fin|opText, "x")
	}
	holder.want(fin|opText, "wait")
}
