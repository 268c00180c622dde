package ws

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestShutdown(t *testing.T) {
	ends := newEndings(t)
	s := newSite(t, Options{}, with(&funcs{message: echo, closed: ends.closed}, nil))
	peers := []*peer{s.open(), s.open(), s.open()}
	late := s.dial()
	late.write([]byte(opening[:20]))
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), generous)
		defer cancel()
		done <- s.Shutdown(ctx, func(i, n int) (uint16, string) { return 1001, fmt.Sprintf("%d of %d", i, n) })
	}()
	reasons := map[string]bool{}
	for _, p := range peers {
		f, b, err := p.next()
		if err != nil || f != fin|opClose || string(b[:2]) != "\x03\xe9" {
			t.Fatal(f, b, err)
		}
		reasons[string(b[2:])] = true
		_ = p.Close()
		receive(t, ends.ch)
	}
	if err := receive(t, done); err != nil {
		t.Error(err)
	}
	if len(reasons) != 3 || !reasons["0 of 3"] || !reasons["2 of 3"] {
		t.Error(reasons)
	}
	late.wantGone() // it had not said what it wants
	ours, theirs := net.Pipe()
	go serveOne(s.Server, theirs, with(&funcs{}, nil))
	p := &peer{tb: t, Conn: ours, br: newReader(ours)}
	p.write([]byte(opening))
	if line, err := p.br.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 503 ") {
		t.Error(line, err)
	}
	_ = ours.Close()
}

func TestShutdownForced(t *testing.T) {
	ends := newEndings(t)
	s := newSite(t, Options{CloseTimeout: time.Hour, WriteStall: time.Hour}, with(&funcs{message: echo, closed: ends.closed}, nil))
	s.open() // and it never ends its side
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx, nil); !errors.Is(err, ErrForced) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	ends.want("1001 ")
	if s.Stats().Open != 0 {
		t.Error("still open")
	}
}

// A peer that does not end its side is cut off.
func TestLingerEnds(t *testing.T) {
	ends := newEndings(t)
	s := newSite(t, Options{CloseTimeout: 80 * time.Millisecond}, with(&funcs{closed: ends.closed, message: func(_ *Turn, c *Conn, _ Kind, _ []byte) {
		c.Close(1000, "")
	}}, nil))
	p := s.open()
	p.send(fin|opText, "x")
	p.wantClose(1000)
	ends.want("1000 ")
	eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
}

// A peer that keeps sending after the Close frame is cut off as well.
func TestLingerEndsForTalkers(t *testing.T) {
	ends := newEndings(t)
	accept, conns := one(&funcs{closed: ends.closed}, nil)
	s := newSite(t, Options{CloseTimeout: 80 * time.Millisecond}, accept)
	p := s.open()
	(<-conns).Close(1000, "")
	p.wantClose(1000)
	ends.want("1000 ")
	eventually(t, "cut off", func() bool {
		_, err := p.Write(clientFrame(fin|opText, pattern(1000)))
		return err != nil
	})
	eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
}

// What the peer sent and nobody read does not destroy our Close frame, or what
// stands before it.
func TestCloseWithUnreadInput(t *testing.T) {
	for _, n := range []int{0, 3 << 20} {
		ends := newEndings(t)
		g := newGate(t)
		s := newSite(t, Options{}, with(&funcs{closed: ends.closed, message: func(tn *Turn, c *Conn, _ Kind, _ []byte) {
			tn.Blocking()
			g.wait()
			c.Send(AppendBinary(nil, pattern(n)))
			c.Close(4001, "enough")
		}}, nil))
		p := s.open()
		p.send(fin|opText, "x")
		eventually(t, "it waits", func() bool { return g.waiting.Load() == 1 })
		p.write(bytes.Repeat(clientFrame(fin|opBinary, pattern(1000)), 300))
		g.release()
		p.want(fin|opBinary, string(pattern(n)))
		p.wantClose(4001)
		ends.want("4001 enough")
		_ = p.Close()
		eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
	}
}

// What waits to be sent when the peer ends its side is still sent, whether it
// said so or not.
func TestHalfCloseWithBacklog(t *testing.T) {
	for _, said := range []bool{false, true} {
		ends := newEndings(t)
		s := newSite(t, Options{}, with(&funcs{closed: ends.closed, message: func(_ *Turn, c *Conn, _ Kind, _ []byte) {
			c.Send(AppendBinary(nil, pattern(20<<20)))
		}}, nil))
		p := s.open()
		p.send(fin|opText, "x")
		if said {
			p.sendClose(1000, "")
		}
		_ = p.Conn.(*net.TCPConn).CloseWrite()
		if said {
			ends.want("1000 ")
		} else {
			ends.want("1006 ")
		}
		p.want(fin|opBinary, string(pattern(20<<20)))
		if said {
			p.wantClose(1000)
		} else {
			p.wantEOF()
		}
		eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
	}
}

// The last messages and the end come together, and are there before anybody
// reads: all is answered, at each stage.
func TestDataAndEndAtOnce(t *testing.T) {
	ends := newEndings(t)
	g := newGate(t)
	s := newSite(t, Options{}, with(&funcs{closed: ends.closed, message: func(tn *Turn, _ *Conn, k Kind, p []byte) {
		if string(p) == "wait" { // and has all others wait for a moment too
			g.wait()
		}
		tn.Reply(k, p)
	}}, nil))
	holder, live, asking := s.open(), s.open(), s.dial()
	live.send(opText, "begun ")
	holder.send(fin|opText, "wait")
	eventually(t, "it waits", func() bool { return g.waiting.Load() == 1 })
	live.write(append(clientFrame(fin, []byte("ended")), clientFrame(fin|opText, []byte("last"))...))
	asking.write(append([]byte(opening), clientFrame(fin|opText, []byte("last"))...))
	_ = live.Conn.(*net.TCPConn).CloseWrite()
	_ = asking.Conn.(*net.TCPConn).CloseWrite()
	time.Sleep(20 * time.Millisecond)
	g.release()
	live.want(fin|opText, "begun ended")
	asking.wantOpen()
	for _, p := range []*peer{live, asking} {
		p.want(fin|opText, "last")
		p.wantEOF()
		ends.want("1006 ")
	}
	eventually(t, "they are gone", func() bool { return s.Stats().Open == 1 })
}

// A reset is the end at each stage, and OnClose comes if there is anybody to be told.
func TestResets(t *testing.T) {
	g := newGate(t)
	ends := newEndings(t)
	accept, conns := one(&funcs{closed: ends.closed, message: func(tn *Turn, c *Conn, k Kind, p []byte) {
		switch string(p) {
		case "wait":
			tn.Blocking()
			g.wait()
		case "ask":
			tn.Reply(k, pattern(8<<20))
		}
	}}, nil)
	s := newSite(t, Options{Silent: 1, CloseTimeout: 100 * time.Millisecond}, accept)
	opened := func(say string) (*peer, *Conn) {
		p := s.open()
		p.send(fin|opText, say)
		return p, <-conns
	}
	for name, bring := range map[string]func() (p *peer, want string){
		"greeting": func() (*peer, string) {
			p := s.dial()
			p.write([]byte("GET /"))
			eventually(t, "it is there", func() bool { return s.Stats().Open == 1 })
			return p, ""
		},
		"live": func() (*peer, string) { p, _ := opened(""); return p, "1006 " },
		"half": func() (*peer, string) { p, _ := opened(""); p.send(opText, "h"); return p, "1006 " },
		"waiting": func() (*peer, string) {
			p, _ := opened("wait")
			eventually(t, "it waits", func() bool { return g.waiting.Load() == 1 })
			time.AfterFunc(20*time.Millisecond, g.release)
			return p, "1006 "
		},
		"sending": func() (*peer, string) {
			p, c := opened("ask")
			eventually(t, "it waits", func() bool { return c.Queued() > 0 })
			return p, "1006 "
		},
		"lingering": func() (*peer, string) {
			p, c := opened("")
			c.Close(4001, "")
			p.wantClose(4001)
			return p, "4001 "
		},
		"closing with a backlog": func() (*peer, string) {
			p, c := opened("ask")
			eventually(t, "it waits", func() bool { return c.Queued() > 0 })
			c.Close(4001, "")
			return p, "4001 "
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, want := bring()
			_ = p.Conn.(*net.TCPConn).SetLinger(0)
			_ = p.Close()
			if want != "" {
				ends.want(want)
			}
			eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
		})
	}
}

// descriptors is how many this process has.
func descriptors(tb testing.TB) int {
	tb.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // a system without
	}
	return len(all)
}

// crowd is a server with connections in each state there is.
func crowd(t *testing.T, o Options) (s *site, g *gate, ps []*peer) {
	t.Helper()
	g = newGate(t)
	accept, conns := one(&funcs{message: func(tn *Turn, c *Conn, k Kind, p []byte) {
		switch string(p) {
		case "wait":
			tn.Blocking()
			g.wait()
		case "work":
			c.Acquire()
		case "ask":
			tn.Reply(k, pattern(8<<20))
		}
		tn.Reply(k, p)
	}}, &Limits{Pending: 1, Queue: 1000, Burst: 2, Rate: 1e-6})
	o.AbuseAfter = -1
	s = newSite(t, o, func(r *Request, c *Conn) (Handler, *Limits, *Refusal) {
		if r.RawQuery == "a=2" {
			r.Blocking()
			g.wait()
		}
		return accept(r, c)
	})
	for range 10 {
		ps = append(ps, s.dial()) // silent
		p := s.dial()             // in the middle of the request
		p.write([]byte(opening[:30]))
		ps = append(ps, p)
		p = s.dial() // waits for the Acceptor
		p.write([]byte(strings.Replace(opening, "a=1", "a=2", 1)))
		ps = append(ps, p)
		var lingering *Conn
		for _, say := range []string{"idle", "wait", "work", "ask", "rate", "linger"} {
			p := s.open()
			lingering = receive(t, conns)
			p.send(fin|opText, say)
			if say == "rate" {
				p.send(fin|opText, say)
				p.send(fin|opText, say)
			}
			if say == "ask" || say == "work" || say == "rate" {
				eventually(t, say, lingering.isPaused)
			}
			ps = append(ps, p)
		}
		lingering.Close(4001, "")
	}
	eventually(t, "all wait", func() bool { return g.waiting.Load() == 20 })
	return s, g, ps
}

// Whatever they are doing, Shutdown ends them all: in time where that is
// possible, by force where not. Nothing is left of them.
func TestShutdownOfAll(t *testing.T) {
	for _, force := range []bool{false, true} {
		t.Run(strconv.FormatBool(force), func(t *testing.T) {
			files, routines := descriptors(t), runtime.NumGoroutine()
			o := Options{CloseTimeout: 200 * time.Millisecond, WriteStall: 400 * time.Millisecond}
			timeout := generous
			if force {
				o, timeout = Options{CloseTimeout: time.Hour, WriteStall: time.Hour}, 100*time.Millisecond
			}
			s, g, ps := crowd(t, o)
			time.AfterFunc(50*time.Millisecond, g.release)
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			switch err := s.Shutdown(ctx, nil); {
			case force && (!errors.Is(err, ErrForced) || errors.Is(err, errHangs)), !force && err != nil:
				t.Error(err)
			}
			s.wg.Wait() // for Listen
			if n := s.Stats().Open; n != 0 {
				t.Errorf("%d are open", n)
			}
			for i := range s.slots {
				if s.table.get(i) != nil {
					t.Error("the table has one")
				}
			}
			for _, p := range ps {
				p.wantGone()
				_ = p.Close()
			}
			eventually(t, "descriptors are given back", func() bool { return descriptors(t) <= files })
			eventually(t, "goroutines have gone", func() bool { return runtime.NumGoroutine() <= routines })
		})
	}
}

// A handler that never comes back costs Shutdown its patience, and no more.
func TestShutdownHangs(t *testing.T) {
	g := newGate(t)
	s := New(Options{Log: quietLog})
	ln := listenOn(t, "tcp", "127.0.0.1:0")
	listened := make(chan error, 1)
	go func() {
		listened <- s.Listen(ln, with(&funcs{message: func(tn *Turn, _ *Conn, _ Kind, _ []byte) { tn.Blocking(); g.wait() }}, nil), nil)
	}()
	p := (&site{Server: s, tb: t, addr: ln.Addr().String()}).open()
	p.send(fin|opText, "x")
	eventually(t, "it waits", func() bool { return g.waiting.Load() == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx, nil); !errors.Is(err, errHangs) {
		t.Error(err)
	}
	g.release()
	if err := receive(t, listened); err != nil {
		t.Error(err)
	}
	eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
	if n, err := io.Copy(io.Discard, p.br); n > 100 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// OnClose is the last call, also where another is under way on another goroutine.
func TestCloseIsLast(t *testing.T) {
	for _, where := range []string{"ping", "drain"} {
		t.Run(where, func(t *testing.T) {
			g := newGate(t)
			ends := newEndings(t)
			h := &funcs{closed: func(c *Conn, code uint16, reason string) {
				if g.waiting.Load() != 0 {
					t.Error("a call is under way")
				}
				ends.closed(c, code, reason)
			}}
			if where == "ping" {
				h.ping = func(_ *Conn, dst []byte) []byte { g.wait(); return dst }
			} else {
				h.drain = func(*Conn) { g.wait() }
			}
			accept, conns := one(h, &Limits{Queue: 100 << 10})
			s := newSite(t, Options{PingEvery: 20 * time.Millisecond}, accept)
			p := s.open()
			c := <-conns
			if where == "drain" {
				f := AppendBinary(nil, pattern(60<<10))
				for c.Send(f) {
				}
				go p.wantGone()
			}
			eventually(t, "it waits", func() bool { return g.waiting.Load() == 1 })
			c.mu.Lock()
			c.kill()
			c.mu.Unlock()
			time.Sleep(50 * time.Millisecond)
			if len(ends.ch) != 0 {
				t.Error("OnClose did not wait")
			}
			g.release()
			ends.want("1006 ")
		})
	}
}

// A server that stops answers what it had begun with before it says goodbye,
// and begins with nothing else: a peer that goes on talking keeps nobody.
func TestShutdownAnswersFirst(t *testing.T) {
	type work struct {
		c *Conn
		p string
	}
	begun := make(chan work, 100)
	s := newSite(t, Options{}, with(&funcs{message: func(_ *Turn, c *Conn, _ Kind, p []byte) {
		c.Acquire()
		begun <- work{c, string(p)}
	}}, nil))
	busy, idle := s.open(), s.open()
	for _, text := range []string{"one", "two", "three"} {
		busy.send(fin|opText, text)
	}
	var under []work
	for range 3 {
		under = append(under, receive(t, begun))
	}
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), generous)
		defer cancel()
		done <- s.Shutdown(ctx, nil)
	}()
	idle.wantClose(1001)
	_ = idle.Close()
	more := make(chan struct{})
	go func() {
		defer close(more)
		for range 50 {
			if _, err := busy.Write(clientFrame(fin|opText, []byte("more"))); err != nil {
				return
			}
		}
	}()
	<-more
	for i, w := range under {
		if w.p != []string{"one", "two", "three"}[i] {
			t.Fatalf("%q was begun as number %d", w.p, i)
		}
		w.c.Send(AppendText(nil, []byte("done "+w.p)))
		w.c.Release()
	}
	for _, text := range []string{"one", "two", "three"} {
		busy.want(fin|opText, "done "+text)
	}
	busy.wantClose(1001)
	_ = busy.Close()
	if err := receive(t, done); err != nil {
		t.Error(err)
	}
	if len(begun) > 0 {
		t.Errorf("%d more were begun", len(begun))
	}
}

// What a handler has in hand is answered as well, though it never said that it
// works: what it replied leaves at the end of its pass.
func TestShutdownAnswersWhatIsInHand(t *testing.T) {
	g := newGate(t)
	s := newSite(t, Options{}, with(&funcs{message: func(tn *Turn, _ *Conn, k Kind, p []byte) {
		tn.Blocking()
		g.wait()
		tn.Reply(k, p)
	}}, nil))
	busy, idle := s.open(), s.open()
	busy.send(fin|opText, "x")
	eventually(t, "it waits", func() bool { return g.waiting.Load() == 1 })
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), generous)
		defer cancel()
		done <- s.Shutdown(ctx, nil)
	}()
	idle.wantClose(1001) // and so the other one had its turn before
	_ = idle.Close()
	g.release()
	busy.want(fin|opText, "x")
	busy.wantClose(1001)
	_ = busy.Close()
	if err := receive(t, done); err != nil {
		t.Error(err)
	}
}

// Answers that do not come are not waited for to the end: the peer is told.
func TestShutdownWithoutAnswers(t *testing.T) {
	begun := make(chan *Conn, 1)
	s := newSite(t, Options{}, with(&funcs{message: func(_ *Turn, c *Conn, _ Kind, _ []byte) {
		c.Acquire()
		begun <- c
	}}, nil))
	p := s.open()
	p.send(fin|opText, "x")
	c := receive(t, begun)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx, nil) }()
	p.wantClose(1001)
	if err := receive(t, done); err != nil && !errors.Is(err, ErrForced) {
		t.Error(err)
	}
	c.Release()
}
