package ws

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestSizesOfMessages(t *testing.T) {
	s := newSite(t, Options{}, with(&funcs{message: echo}, &Limits{MaxMessage: 1 << 20, Queue: 1 << 10}))
	p := s.open()
	for _, n := range []int{0, 1, 124, 125, 126, 127, 128, 4095, 16370, 16384, 16400, 65535, 65536, 65537, 1 << 20} {
		m := string(pattern(n))
		for _, first := range []byte{fin | opText, fin | opBinary} {
			go func() { _, _ = p.Write(clientFrame(first, []byte(m))) }()
			p.want(first, m)
		}
	}
	st := s.Stats()
	if st.MessagesIn != 30 || st.MessagesOut != 30 || st.Open != 1 || st.Accepted != 1 {
		t.Errorf("%+v", st)
	}
}

func TestByteByByte(t *testing.T) {
	s := newSite(t, Options{}, with(&funcs{message: echo}, nil))
	p := s.open()
	var b []byte
	b = append(b, clientFrame(fin|opText, []byte("grüße 𝄞"))...)
	b = append(b, clientFrame(opText, []byte("a"))...)
	b = append(b, clientFrame(fin|opPing, []byte("between"))...)
	b = append(b, clientFrame(fin, []byte("b"))...)
	b = append(b, clientFrame(fin|opBinary, pattern(300))...)
	for i := range b {
		p.write(b[i : i+1])
		time.Sleep(200 * time.Microsecond)
	}
	p.want(fin|opText, "grüße 𝄞")
	p.want(fin|opPong, "between")
	p.want(fin|opText, "ab")
	p.want(fin|opBinary, string(pattern(300)))
}

func TestCoder(t *testing.T) {
	ends := newEndings(t)
	s := newSite(t, Options{PingEvery: 40 * time.Millisecond}, with(&funcs{message: echo, closed: ends.closed}, nil))
	ctx, cancel := context.WithTimeout(context.Background(), generous)
	defer cancel()
	c, rs, err := websocket.Dial(ctx, "ws://"+s.addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if rs.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Error("an extension was negotiated")
	}
	c.SetReadLimit(1 << 22)
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20} {
		m := string(pattern(n))
		if err := c.Write(ctx, websocket.MessageText, []byte(m)); err != nil {
			t.Fatal(err)
		}
		k, b, err := c.Read(ctx)
		if err != nil || k != websocket.MessageText || string(b) != m {
			t.Fatalf("%d: %v %v %d", n, err, k, len(b))
		}
	}
	go func() { _, _, _ = c.Read(ctx) }() // coder hears pongs only while it reads
	if err := c.Ping(ctx); err != nil {
		t.Error(err)
	}
	if err := c.Close(4321, "bye"); err != nil {
		t.Error(err)
	}
	ends.want("4321 bye")
}

func TestPeerCloses(t *testing.T) {
	for _, reason := range []string{"", "going", repeat("x", 123)} {
		ends := newEndings(t)
		s := newSite(t, Options{}, with(&funcs{message: echo, closed: ends.closed}, nil))
		p := s.open()
		p.send(fin|opText, "last")
		p.sendClose(1000, reason)
		p.send(fin|opText, "after the end")
		p.want(fin|opText, "last")
		p.wantClose(1000)
		ends.want("1000 " + reason)
		_ = p.Close()
		eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
		if s.Stats().Closes[1000] != 1 {
			t.Error(s.Stats())
		}
	}
}

func TestWeClose(t *testing.T) {
	ends := newEndings(t)
	conns := make(chan *Conn, 1)
	s := newSite(t, Options{}, func(_ *Request, c *Conn) (Handler, *Limits, *Refusal) {
		conns <- c
		return &funcs{message: echo, closed: ends.closed}, nil, nil
	})
	p := s.open()
	c := <-conns
	if got := c.RemoteAddr().String(); got != p.LocalAddr().String() {
		t.Errorf("RemoteAddr %s, want %s", got, p.LocalAddr())
	}
	c.Send(AppendText(nil, []byte("last")))
	c.Close(4001, "withdrawn")
	c.Close(4009, "again")
	if !c.Send(AppendText(nil, []byte("late"))) {
		t.Error("a closed connection refused a Send")
	}
	ends.want("4001 withdrawn") // before the peer did anything
	p.send(fin|opText, "not heard")
	p.want(fin|opText, "last")
	p.wantClose(4001)
	p.sendClose(4001, "")
	_ = p.Close()
	eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
}

func TestCloseInHandler(t *testing.T) {
	ends := newEndings(t)
	s := newSite(t, Options{}, with(&funcs{closed: ends.closed, message: func(tn *Turn, c *Conn, k Kind, p []byte) {
		if string(p) == "two" {
			t.Error("a message came after Close")
		}
		tn.Reply(k, p)
		tn.Blocking()
		c.Close(1000, "enough")
	}}, nil))
	p := s.open()
	p.write(append(clientFrame(fin|opText, []byte("one")), clientFrame(fin|opText, []byte("two"))...))
	p.want(fin|opText, "one")
	p.wantClose(1000)
	ends.want("1000 enough")
}

func TestPeerJustGoes(t *testing.T) {
	for name, go1 := range map[string]func(p *peer){
		"FIN": func(p *peer) { _ = p.Close() },
		"RST": func(p *peer) { _ = p.Conn.(*net.TCPConn).SetLinger(0); _ = p.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			ends := newEndings(t)
			s := newSite(t, Options{}, with(&funcs{message: echo, closed: ends.closed}, nil))
			p := s.open()
			p.write([]byte{0x81})
			go1(p)
			ends.want("1006 ")
			eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
		})
	}
}

// A peer that ends its own side at once, in the same packet as its last message,
// still gets the answer, however long it is.
func TestHalfClose(t *testing.T) {
	for _, n := range []int{5, 1 << 19, 8 << 20} {
		ends := newEndings(t)
		s := newSite(t, Options{}, with(&funcs{closed: ends.closed, message: func(tn *Turn, _ *Conn, k Kind, _ []byte) {
			tn.Reply(k, pattern(n))
		}}, nil))
		p := s.open()
		p.send(fin|opText, "hello")
		_ = p.Conn.(*net.TCPConn).CloseWrite()
		p.want(fin|opText, string(pattern(n)))
		p.wantEOF()
		ends.want("1006 ")
		eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
	}
}

func TestBefore101(t *testing.T) {
	ends := newEndings(t)
	s := newSite(t, Options{}, func(r *Request, c *Conn) (Handler, *Limits, *Refusal) {
		if r.Query().Get("a") != "1" || r.Get("sec-websocket-version") != "13" || r.Path != "/x" {
			t.Error("not the request", r)
		}
		for i := range 3 {
			if !c.Send(AppendText(nil, fmt.Append(nil, i)), AppendText(nil, []byte("+"))) {
				t.Error("refused")
			}
		}
		if c.Queued() == 0 {
			t.Error("nothing waits")
		}
		return &funcs{message: echo, closed: ends.closed}, nil, nil
	})
	p := s.dial()
	p.write(append([]byte(opening), clientFrame(fin|opText, []byte("early"))...)) // and one that the HTTP side read
	p.wantOpen()
	for i := range 3 {
		p.want(fin|opText, strconv.Itoa(i))
		p.want(fin|opText, "+")
	}
	p.want(fin|opText, "early")
}

func TestMuchBefore101(t *testing.T) {
	drained := make(chan bool, 1)
	s := newSite(t, Options{}, func(_ *Request, c *Conn) (Handler, *Limits, *Refusal) {
		f := AppendBinary(nil, pattern(300<<10))
		for i := 1; ; i++ {
			if !c.Send(f) {
				if i != 4 {
					t.Errorf("the %dth Send was refused", i)
				}
				return &funcs{drain: func(*Conn) { drained <- true }}, &Limits{Queue: 1 << 20}, nil
			}
		}
	})
	p := s.open()
	for range 3 {
		p.want(fin|opBinary, string(pattern(300<<10)))
	}
	receive(t, drained)
}

func TestCloseBefore101(t *testing.T) {
	ends := newEndings(t)
	s := newSite(t, Options{}, func(_ *Request, c *Conn) (Handler, *Limits, *Refusal) {
		c.Send(AppendText(nil, []byte("hi")))
		c.Close(4009, "replaced")
		return &funcs{message: echo, closed: ends.closed}, nil, nil
	})
	p := s.open()
	p.want(fin|opText, "hi")
	p.wantClose(4009)
	ends.want("4009 replaced")
}

func TestPanics(t *testing.T) {
	for _, where := range []string{"message", "pong", "ping", "close", "accept", "nothing"} {
		t.Run(where, func(t *testing.T) {
			ends := newEndings(t)
			h := &funcs{message: echo, closed: ends.closed}
			switch where {
			case "message":
				h.message = func(*Turn, *Conn, Kind, []byte) { panic("message") }
			case "pong":
				h.pong = func(*Conn, []byte) { panic("pong") }
			case "ping":
				h.ping = func(*Conn, []byte) []byte { panic("ping") }
			case "close":
				h.closed = func(c *Conn, code uint16, reason string) { ends.closed(c, code, reason); panic("close") }
			}
			s := newSite(t, Options{PingEvery: 20 * time.Millisecond}, func(*Request, *Conn) (Handler, *Limits, *Refusal) {
				switch where {
				case "accept":
					panic("accept")
				case "nothing":
					return nil, nil, nil
				}
				return h, nil, nil
			})
			if where == "accept" || where == "nothing" {
				p := s.dial()
				p.write([]byte(opening))
				if line, _ := p.br.ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 500 ") {
					t.Error(line)
				}
				return
			}
			p := s.open()
			switch where {
			case "message":
				p.send(fin|opText, "x")
			case "pong":
				p.send(fin|opPong, "x")
			case "close":
				p.sendClose(1000, "")
				ends.want("1000 ")
				return
			}
			for {
				f, b, err := p.next()
				if err != nil {
					t.Fatal(err)
				}
				if f == fin|opClose {
					if code, _, _ := parseClose(b); code != 1011 {
						t.Errorf("closed with %d", code)
					}
					break
				}
			}
			ends.want("1011 internal error")
		})
	}
}

func TestPanicInDrain(t *testing.T) {
	ends := newEndings(t)
	conns := make(chan *Conn, 1)
	s := newSite(t, Options{}, func(_ *Request, c *Conn) (Handler, *Limits, *Refusal) {
		conns <- c
		return &funcs{closed: ends.closed, drain: func(*Conn) { panic("drain") }}, &Limits{Queue: 1000}, nil
	})
	p := s.open()
	c := <-conns
	for c.Send(AppendBinary(nil, pattern(64<<10))) {
	}
	go p.wantGone()
	ends.want("1011 internal error")
}

// Streams that are not plain sockets: TLS, and a pipe that cannot be half closed.
func TestTLS(t *testing.T) {
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}})
	if err != nil {
		t.Fatal(err)
	}
	ends := newEndings(t)
	s := newSiteOn(t, ln, Options{}, with(&funcs{message: echo, closed: ends.closed}, &Limits{Queue: 1000}))
	dial := func() *peer {
		nc, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nc.Close() })
		p := &peer{tb: t, Conn: nc}
		p.br = newReader(nc)
		p.write([]byte(opening))
		p.wantOpen()
		return p
	}
	p := dial()
	for _, n := range []int{0, 10, 70000, 1 << 20} {
		go func() { _, _ = p.Write(clientFrame(fin|opText, pattern(n))) }()
		p.want(fin|opText, string(pattern(n)))
	}
	p.sendClose(1000, "x")
	p.wantClose(1000)
	ends.want("1000 x")
	_ = p.Close()
	p = dial()
	_ = p.Close()
	ends.want("1006 ")
	dial()
	for _, c := range s.conns() {
		c.Close(4001, "")
	}
	ends.want("4001 ")
}

// A TLS peer that takes nothing, with a write stuck under way: the walker's end
// and that of a Shutdown without time.
func TestTLSStall(t *testing.T) {
	for _, force := range []bool{false, true} {
		ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}})
		if err != nil {
			t.Fatal(err)
		}
		ends := newEndings(t)
		accept, conns := one(&funcs{closed: ends.closed}, &Limits{Queue: 300 << 10})
		o := Options{WriteStall: 100 * time.Millisecond, CloseTimeout: 100 * time.Millisecond}
		if force {
			o = Options{}
		}
		s := newSiteOn(t, ln, o, accept)
		nc, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = nc.Close() }()
		p := &peer{tb: t, Conn: nc, br: newReader(nc)}
		p.write([]byte(opening))
		p.wantOpen()
		c := <-conns
		f := AppendBinary(nil, pattern(60<<10))
		for refused := 0; refused < 30 && !c.over.Load(); {
			if refused++; c.Send(f) {
				refused = 0
			} else {
				time.Sleep(2 * time.Millisecond)
			}
		}
		if force {
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			if err := s.Shutdown(ctx, nil); !errors.Is(err, ErrForced) || strings.Contains(err.Error(), "still run") {
				t.Error(err)
			}
			ends.want("1001 ")
		} else {
			ends.want("4008 too slow, no progress")
		}
		eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
	}
}

// Who closes and goes while we still send to it is known by its last word.
func TestLastWord(t *testing.T) {
	ends := newEndings(t)
	entered, leave := make(chan bool), make(chan bool)
	accept, conns := one(&funcs{closed: ends.closed, message: func(*Turn, *Conn, Kind, []byte) { entered <- true; <-leave }}, nil)
	s := newSite(t, Options{}, accept)
	p := s.open()
	c := <-conns
	p.send(fin|opText, "x")
	receive(t, entered)
	p.sendClose(4321, "bye")
	_ = p.Close()
	time.Sleep(20 * time.Millisecond)
	c.mu.Lock()
	c.lose() // as a write that fails would
	c.mu.Unlock()
	c.Send(AppendText(nil, []byte("into the void")))
	leave <- true
	ends.want("4321 bye")
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestPipe(t *testing.T) {
	ends := newEndings(t)
	s := New(Options{CloseTimeout: 100 * time.Millisecond, Log: quietLog})
	serve := func() *peer {
		a, b := net.Pipe()
		p := &peer{tb: t, Conn: a, br: newReader(a)}
		t.Cleanup(func() { _ = a.Close() })
		go serveOne(s, b, with(&funcs{message: echo, closed: ends.closed}, nil))
		p.write([]byte(opening))
		p.wantOpen()
		return p
	}
	p := serve()
	p.send(fin|opText, "x")
	p.want(fin|opText, "x")
	p.sendClose(1000, "")
	p.wantClose(1000)
	ends.want("1000 ")
	p = serve()
	for _, c := range s.conns() {
		c.Close(4001, "")
	}
	p.wantClose(4001)
	ends.want("4001 ")
	ctx, cancel := context.WithTimeout(context.Background(), generous)
	defer cancel()
	if err := s.Shutdown(ctx, nil); err != nil {
		t.Error(err)
	}
}

func TestDeadPeer(t *testing.T) {
	ends := newEndings(t)
	var pings atomic.Int32
	s := newSite(t, Options{PingEvery: 40 * time.Millisecond, DeadAfter: 200 * time.Millisecond}, with(&funcs{closed: ends.closed, ping: func(_ *Conn, dst []byte) []byte {
		pings.Add(1)
		return append(dst, "position"...)
	}}, nil))
	began := time.Now()
	p := s.open()
	ends.want("1006 ")
	if d := time.Since(began); d < 150*time.Millisecond {
		t.Errorf("dead after %v", d)
	}
	p.want(fin|opPing, "position")
	p.want(fin|opPing, "position")
	p.wantGone()
	if s.Stats().Pings == 0 || pings.Load() == 0 {
		t.Error("no pings")
	}
}

func TestPingPong(t *testing.T) {
	got := make(chan string, 1000)
	n := 0
	s := newSite(t, Options{PingEvery: 20 * time.Millisecond, DeadAfter: 300 * time.Millisecond}, with(&funcs{
		ping: func(_ *Conn, dst []byte) []byte {
			if n++; n == 3 {
				return append(dst, repeat("y", 300)...)
			}
			return fmt.Appendf(dst, "p%d", n)
		},
		pong: func(_ *Conn, p []byte) { got <- string(p) },
	}, nil))
	p := s.open()
	for i := 1; i <= 40; i++ { // longer than DeadAfter
		f, b, err := p.next()
		if err != nil || f != fin|opPing {
			t.Fatal(f, b, err)
		}
		want := fmt.Sprintf("p%d", i)
		if i == 3 {
			want = repeat("y", 125)
		}
		if string(b) != want {
			t.Fatalf("ping %q, want %q", b, want)
		}
		p.send(fin|opPong, string(b))
		if g := receive(t, got); g != want {
			t.Fatalf("pong %q, want %q", g, want)
		}
	}
}
