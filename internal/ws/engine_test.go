package ws

import (
	"fmt"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// gate is where handlers of a test wait.
type gate struct {
	waiting atomic.Int32
	open    chan struct{}
}

func newGate(tb testing.TB) *gate {
	tb.Helper()
	g := &gate{open: make(chan struct{})}
	tb.Cleanup(g.release)
	return g
}

func (g *gate) wait() {
	g.waiting.Add(1)
	<-g.open
	g.waiting.Add(-1)
}

// release lets all pass, from now on.
func (g *gate) release() {
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}

// talk sends and wants back.
func (p *peer) talk(from, to int) {
	p.tb.Helper()
	for i := from; i < to; i++ {
		p.send(fin|opText, strconv.Itoa(i))
		p.want(fin|opText, strconv.Itoa(i))
	}
}

// Handlers that have called Blocking and wait hold up nobody but their own
// connection, whose messages stay in order.
func TestWaitingHandlers(t *testing.T) {
	const n = 300
	g := newGate(t)
	s := newSite(t, Options{}, with(&funcs{message: func(tn *Turn, _ *Conn, k Kind, p []byte) {
		tn.Reply(k, p)
		if string(p) == "wait" {
			tn.Blocking()
			tn.Blocking()
			g.wait()
			tn.Reply(k, []byte("waited"))
		}
	}}, nil))
	early := s.open()
	var waiting []*peer
	for range n {
		p := s.open()
		p.write(append(clientFrame(fin|opText, []byte("wait")), clientFrame(fin|opText, []byte("0"))...))
		p.want(fin|opText, "wait") // what was replied before does not wait
		waiting = append(waiting, p)
	}
	eventually(t, "all wait", func() bool { return g.waiting.Load() == n })
	for range 5 {
		p := s.open()
		p.talk(0, 20)
		_ = p.Close()
	}
	early.talk(0, 20)
	for _, p := range waiting {
		p.send(fin|opText, "1")
	}
	early.talk(20, 40)
	if got := g.waiting.Load(); got != n {
		t.Errorf("%d wait", got)
	}
	g.release()
	for _, p := range waiting {
		p.want(fin|opText, "waited")
		p.want(fin|opText, "0")
		p.want(fin|opText, "1")
		p.talk(2, 4)
	}
}

// An Acceptor that says so may wait as well.
func TestWaitingAcceptors(t *testing.T) {
	const n = 50
	g := newGate(t)
	s := newSite(t, Options{HandshakeTimeout: time.Second, DeadAfter: 100 * time.Millisecond, PingEvery: -1}, func(r *Request, _ *Conn) (Handler, *Limits, *Refusal) {
		if r.RawQuery == "a=2" {
			r.Blocking()
			g.wait()
		}
		return &funcs{message: echo}, nil, nil
	})
	var waiting []*peer
	for range n {
		p := s.dial()
		b := []byte(opening)
		b[9] = '2' // of /x?a=1
		p.write(append(b, clientFrame(fin|opText, []byte("early"))...))
		waiting = append(waiting, p)
	}
	eventually(t, "all wait", func() bool { return g.waiting.Load() == n })
	for range 5 {
		p := s.open()
		p.talk(0, 20)
		_ = p.Close()
	}
	time.Sleep(300 * time.Millisecond) // longer than the silence allowed to peers: it is not theirs
	if got := g.waiting.Load(); got != n {
		t.Errorf("%d wait", got)
	}
	g.release()
	for _, p := range waiting {
		p.wantOpen()
		p.want(fin|opText, "early")
	}
}

// pauses are the reasons for a pause: the limits, and a handler that brings it
// about at the second message.
func pauses() map[string]*pause {
	return map[string]*pause{
		"work": {
			lim:     &Limits{Pending: 1},
			message: func(tn *Turn, c *Conn, k Kind, p []byte) { c.Acquire(); tn.Reply(k, p) },
			resume:  func(c *Conn, _ *peer) { c.Release() },
		},
		"rate": {
			lim:     &Limits{Burst: 1, Rate: 1},
			message: echo,
			resume:  func(*Conn, *peer) {},
		},
		"replies": {
			lim:     &Limits{Queue: 1000},
			message: func(tn *Turn, _ *Conn, k Kind, p []byte) { tn.Reply(Binary, pattern(120<<10)); tn.Reply(k, p) },
			resume:  func(*Conn, *peer) {},
		},
		"answers": {
			lim: &Limits{Queue: 1000},
			message: func(_ *Turn, c *Conn, k Kind, p []byte) {
				c.Answer(AppendFrame(nil, byte(Binary), pattern(120<<10)))
				c.Answer(AppendFrame(nil, byte(k), p))
			},
			resume: func(*Conn, *peer) {},
		},
	}
}

type pause struct {
	lim     *Limits
	message func(t *Turn, c *Conn, k Kind, p []byte)
	resume  func(c *Conn, p *peer)
}

// smallBuffers has the kernel take little of what is sent.
func smallBuffers(tb testing.TB) net.Listener {
	tb.Helper()
	ln := listenOn(tb, "tcp", "127.0.0.1:0")
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		tb.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { // what is accepted inherits it
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 64<<10)
	}); err != nil {
		tb.Fatal(err)
	}
	return ln
}

func (c *Conn) isPaused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held != nil
}

// opened opens a connection of pauses that is at its pause, with messages 0 to 4
// sent.
func (s *site) opened(conns <-chan *Conn) (*peer, *Conn) {
	s.tb.Helper()
	p := s.dial()
	_ = p.Conn.(*net.TCPConn).SetReadBuffer(100 << 10)
	p.write([]byte(opening))
	p.wantOpen()
	c := receive(s.tb, conns)
	var b []byte
	for i := range 5 {
		b = append(b, clientFrame(fin|opText, strconv.AppendInt(nil, int64(i), 10))...)
	}
	p.write(b)
	eventually(s.tb, "paused", c.isPaused)
	return p, c
}

// wantAll reads what is answered to opened.
func (p *peer) wantAll(c *Conn, k *pause) {
	p.tb.Helper()
	_ = p.Conn.(*net.TCPConn).SetReadBuffer(1 << 20)
	for i := 0; i < 5; {
		f, b, err := p.next()
		switch {
		case err != nil:
			p.tb.Fatalf("at %d: %v", i, err)
		case f == fin|opBinary:
		case f != fin|opText || string(b) != strconv.Itoa(i):
			p.tb.Fatalf("%x %.60q at %d", f, b, i)
		default:
			k.resume(c, p)
			i++
		}
	}
}

// While a connection is at a pause, nothing of it runs; then all goes on, in order.
func TestPauses(t *testing.T) {
	const n = 500
	for name, k := range pauses() {
		t.Run(name, func(t *testing.T) {
			accept, conns := one(&funcs{message: k.message}, k.lim)
			s := newSiteOn(t, smallBuffers(t), Options{AbuseAfter: -1, PingEvery: -1, DeadAfter: -1, WriteStall: time.Hour}, accept)
			s.open()
			<-conns
			before := runtime.NumGoroutine()
			var ps []*peer
			var cs []*Conn
			for range n {
				p, c := s.opened(conns)
				ps, cs = append(ps, p), append(cs, c)
			}
			if now := runtime.NumGoroutine(); s.opt.Reader == Epoll && now > before+n/10 {
				t.Errorf("%d goroutines for %d paused connections", now-before, n)
			}
			for i, p := range ps {
				p.wantAll(cs[i], k)
			}
			eventually(t, "idle", func() bool {
				for _, c := range cs {
					if c.isPaused() {
						return false
					}
				}
				return true
			})
		})
	}
}

// A pause ends with the connection, whoever ends it and how.
func TestEndOfPauses(t *testing.T) {
	for name, k := range pauses() {
		for how, end := range map[string]func(c *Conn, p *peer){
			"close": func(c *Conn, _ *peer) { c.Close(4001, "") },
			"kill":  func(c *Conn, _ *peer) { c.mu.Lock(); c.kill(); c.mu.Unlock() },
			"reset": func(c *Conn, p *peer) {
				_ = p.Conn.(*net.TCPConn).SetLinger(0)
				_ = p.Close()
				for range 5 {
					k.resume(c, p)
					time.Sleep(5 * time.Millisecond)
				}
			},
			"end": func(c *Conn, p *peer) { _ = p.Conn.(*net.TCPConn).CloseWrite(); p.wantAll(c, k) },
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				ends := newEndings(t)
				lim := *k.lim
				if lim.Rate > 0 && (how == "close" || how == "kill") {
					lim.Rate = 1e-6 // it is not the timer that ends the pause
				} else if lim.Rate > 0 {
					lim.Rate = 20
				}
				accept, conns := one(&funcs{message: k.message, closed: ends.closed}, &lim)
				s := newSiteOn(t, smallBuffers(t), Options{AbuseAfter: -1, CloseTimeout: 200 * time.Millisecond, WriteStall: time.Hour}, accept)
				p, c := s.opened(conns)
				end(c, p)
				if how == "close" {
					ends.want("4001 ") // whatever the peer takes of it
				} else {
					ends.want("1006 ")
				}
				_ = p.Conn.(*net.TCPConn).SetLinger(0)
				_ = p.Close()
				eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
				if c.isPaused() {
					t.Error("still paused")
				}
			})
		}
	}
}

// Many goroutines release at once, what comes is more than may be under way at a
// time, and the peer is ahead of its rate at that: no message is lost or doubled,
// all are in order, and no two of a connection are handled at once.
func TestReleaseStorm(t *testing.T) {
	const peers, messages = 8, 1500
	work := make(chan *Conn, peers*messages)
	s := newSite(t, Options{AbuseAfter: -1}, func(*Request, *Conn) (Handler, *Limits, *Refusal) {
		var at, inside atomic.Int32
		return &funcs{message: func(tn *Turn, c *Conn, k Kind, p []byte) {
			if inside.Add(1) != 1 {
				t.Error("two at once")
			}
			if i := at.Add(1) - 1; string(p) != strconv.Itoa(int(i)) {
				t.Errorf("%s at %d", p, i)
			}
			if n := c.pending.Load() - 1; n >= 6 { // beside this pass
				t.Errorf("%d are under way", n)
			}
			for range 3 { // one message may be more than one piece of work
				c.Acquire()
				work <- c
			}
			if at.Load()%97 == 0 {
				tn.Blocking()
			}
			tn.Reply(k, p)
			inside.Add(-1)
		}}, &Limits{Pending: 6, Burst: 10, Rate: 20_000}, nil
	})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for c := range work {
				c.Release()
			}
		})
	}
	var clients sync.WaitGroup
	for range peers {
		p := s.open()
		clients.Go(func() {
			for i := range messages {
				if _, err := p.Write(clientFrame(fin|opText, fmt.Append(nil, i))); err != nil {
					t.Error(err)
				}
			}
		})
		clients.Go(func() {
			for i := range messages {
				if f, b, err := p.next(); err != nil || f != fin|opText || string(b) != strconv.Itoa(i) {
					t.Errorf("%x %.40q, %v at %d", f, b, err, i)
					return
				}
			}
		})
	}
	clients.Wait()
	for _, c := range s.conns() {
		eventually(t, "all is released", func() bool { return c.pending.Load() == 0 })
	}
	close(work)
	wg.Wait()
}

// A pause whose time is up just when something else ends it ends once.
func TestTimerAndSignal(t *testing.T) {
	ends := newEndings(t)
	accept, conns := one(&funcs{message: echo, closed: ends.closed}, &Limits{Burst: 1, Rate: 1000})
	s := newSite(t, Options{AbuseAfter: -1}, accept)
	two := append(clientFrame(fin|opText, []byte("x")), clientFrame(fin|opText, []byte("y"))...)
	for i := range 300 {
		p := s.open()
		c := <-conns
		p.write(append(two, two...))
		time.Sleep(time.Millisecond + time.Duration(i%50)*20*time.Microsecond)
		c.Close(4001, "")
		ends.want("4001 ")
		p.wantGone()
		_ = p.Close()
	}
	eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
	if n := s.Stats().Closes[4001]; n != 300 {
		t.Errorf("%d ended", n)
	}
}

// Who still has a connection that is gone reaches nobody with it, though its
// descriptor and its slot are somebody else's by now.
func TestLateComers(t *testing.T) {
	const n = 50
	accept, conns := one(&funcs{message: echo}, nil)
	s := newSite(t, Options{}, accept)
	var old []*Conn
	for range n {
		p := s.open()
		old = append(old, receive(t, conns))
		_ = p.Conn.(*net.TCPConn).SetLinger(0)
		_ = p.Close()
		eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
	}
	var ps []*peer
	for range n {
		ps = append(ps, s.open())
	}
	for i, c := range old {
		switch i % 4 {
		case 0:
			c.Send(AppendText(nil, []byte("not yours")))
		case 1:
			c.Close(4001, "")
		case 2:
			c.mu.Lock()
			c.kill()
			c.mu.Unlock()
		case 3:
			c.Acquire()
			c.Release()
			c.ping(nil)
			c.do(todoFin)
		}
		_ = c.Queued()
	}
	for _, p := range ps {
		p.talk(0, 3)
	}
	if got := s.Stats().Open; got != n {
		t.Errorf("%d are open", got)
	}
}
