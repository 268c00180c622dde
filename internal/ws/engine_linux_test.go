//go:build linux && (amd64 || arm64)

package ws

import (
	"bytes"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// routines is how many goroutines of this process have f on their stack.
func routines(f string) int {
	buf := make([]byte, 64<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), f)
}

// Who comes from net/http is polled like all others, and leaves no goroutine there.
func TestAdoption(t *testing.T) {
	const n = 100
	s := newSiteOfBoth(t, Options{Reader: Epoll}, with(&funcs{message: echo}, nil))
	s.open().talk(0, 1)
	before, files := runtime.NumGoroutine(), descriptors(t)
	var ps []*peer
	for range n {
		p := s.dial()
		p.write(post("/first", []byte("x")))
		p.exchange("/first", []byte("x"))
		p.write([]byte(opening))
		p.wantOpen()
		p.talk(0, 3)
		ps = append(ps, p)
	}
	eventually(t, "net/http lets go of them", func() bool { return runtime.NumGoroutine() <= before+n/10 })
	eventually(t, "one descriptor each, and the peer's", func() bool { return descriptors(t) <= files+2*n })
	for _, c := range s.conns() {
		if _, ok := c.sock.(*poller); !ok {
			t.Fatalf("read by a %T", c.sock)
		}
	}
	for _, p := range ps {
		p.talk(3, 6)
		_ = p.Close()
	}
	eventually(t, "gone", func() bool { return s.Stats().Open == 1 })
	eventually(t, "closed", func() bool { return descriptors(t) <= files })
}

// locked is a buffer for a log.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Who leads is not said to wait because of a check or two: a busy machine takes
// that long for a handler that does not.
func TestStuckTakesTime(t *testing.T) {
	p := &poller{srv: &Server{tick: 25 * time.Millisecond}, busy: true}
	looks := func(until int) (n int) {
		for n < until && !p.stuck() {
			n++
		}
		return n
	}
	p.claimed++
	if n := looks(100); n != 20 { // the first sees that it began
		t.Errorf("stuck after %d checks", n)
	}
	for range 10 {
		p.claimed++
		if n := looks(20); n != 20 {
			t.Errorf("stuck %d checks after something else", n)
		}
	}
	p.busy = false
	if n := looks(100); n != 100 {
		t.Error("stuck with nothing to do")
	}
	p.busy, p.srv.tick = true, time.Second
	if n := looks(100); n != 1 {
		t.Errorf("stuck after %d of few checks", n)
	}
}

// A handler that waits and does not say so is found out: the others are heard
// again, and the log tells.
func TestUndeclaredWait(t *testing.T) {
	var log locked
	g := newGate(t)
	o := Options{Reader: Epoll, CloseTimeout: 80 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))}
	s := newSite(t, o, with(&funcs{message: func(tn *Turn, _ *Conn, k Kind, p []byte) {
		if string(p) == "wait" {
			g.wait()
			tn.Blocking() // too late, and does no harm
		}
		tn.Reply(k, p)
	}}, nil))
	other := s.open()
	other.talk(0, 3)
	var waiting []*peer
	for range 3 {
		p := s.open()
		p.send(fin|opText, "wait")
		waiting = append(waiting, p)
	}
	eventually(t, "all wait", func() bool { return g.waiting.Load() == 3 })
	other.talk(3, 6)
	if !strings.Contains(log.String(), "without having called Blocking") {
		t.Errorf("log: %s", log.String())
	}
	g.release()
	for _, p := range waiting {
		p.want(fin|opText, "wait")
		p.talk(0, 3)
	}
	eventually(t, "one leads, nobody else is there", func() bool {
		s.polled().mu.Lock()
		defer s.polled().mu.Unlock()
		return s.polled().workers == 0 && routines("(*poller).handle(") == 1
	})
}

// When more handlers wait than may, nobody is heard until one has gone.
func TestTooManyWait(t *testing.T) {
	enter, leave := make(chan bool, 2*maxWorkers), make(chan bool)
	s := newSite(t, Options{Reader: Epoll, CloseTimeout: 80 * time.Millisecond}, with(&funcs{message: func(tn *Turn, _ *Conn, k Kind, p []byte) {
		if string(p) == "wait" {
			tn.Blocking()
			enter <- true
			<-leave
		}
		tn.Reply(k, p)
	}}, nil))
	other := s.open()
	var waiting []*peer
	for range maxWorkers + 1 {
		waiting = append(waiting, s.open())
	}
	for _, p := range waiting {
		p.send(fin|opText, "wait")
		receive(t, enter)
	}
	other.send(fin|opText, "x")
	_ = other.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if b, err := other.br.Peek(1); err == nil {
		t.Errorf("answered % x while %d wait", b, len(waiting))
	}
	_ = other.SetReadDeadline(time.Now().Add(generous))
	leave <- true
	other.want(fin|opText, "x")
	other.talk(0, 3)
	for range maxWorkers {
		leave <- true
	}
	for _, p := range waiting {
		p.want(fin|opText, "wait")
		_ = p.Close()
	}
}

// What goes on elsewhere, after a pause, does so in as many goroutines as may be,
// however many there are whose handlers then wait; the poller goes on meanwhile.
func TestTooManyAreTakenUp(t *testing.T) {
	const conns = maxWorkers + 50
	g := newGate(t)
	paused := make(chan *Conn, conns)
	s := newSite(t, Options{Reader: Epoll}, with(&funcs{message: func(tn *Turn, c *Conn, k Kind, p []byte) {
		switch string(p) {
		case "pause":
			c.Acquire()
			paused <- c
		case "wait":
			tn.Blocking()
			g.wait()
		}
		tn.Reply(k, p)
	}}, &Limits{Pending: 1}))
	other := s.open()
	var peers []*peer
	for range conns {
		p := s.open()
		p.write(append(clientFrame(fin|opText, []byte("pause")), clientFrame(fin|opText, []byte("wait"))...))
		peers = append(peers, p)
	}
	for range conns {
		c := receive(t, paused)
		eventually(t, "paused", c.isPaused)
		c.Release()
	}
	passed := &s.polled().passed
	eventually(t, "as many wait as may, and the others for them", func() bool {
		passed.mu.Lock()
		defer passed.mu.Unlock()
		return g.waiting.Load() == maxWorkers && passed.takers == maxWorkers && len(passed.conns) == conns-maxWorkers
	})
	other.talk(0, 3)
	g.release()
	for _, p := range peers {
		p.want(fin|opText, "pause")
		p.want(fin|opText, "wait")
		_ = p.Close()
	}
	eventually(t, "nobody is left", func() bool {
		passed.mu.Lock()
		defer passed.mu.Unlock()
		return passed.takers == 0
	})
}

// What an event says is not believed: stale ones, of the slot's earlier
// connection or for a slot that is free, do no harm.
func TestStaleEvents(t *testing.T) {
	ends := newEndings(t)
	s := newSite(t, Options{Reader: Epoll}, with(&funcs{message: echo, closed: ends.closed}, nil))
	s.open().talk(0, 1)
	old := s.open()
	slot := s.conns()[1].slot
	_ = old.Close()
	ends.want("1006 ")
	eventually(t, "gone", func() bool { return s.Stats().Open == 1 })
	stale := func() {
		for _, mask := range []uint32{
			syscall.EPOLLIN, syscall.EPOLLOUT, syscall.EPOLLIN | syscall.EPOLLRDHUP,
			syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR,
		} {
			tn := takeTurn(nil)
			s.polled().event(tn, syscall.EpollEvent{Events: mask, Fd: slot})
			tn.release()
		}
	}
	stale()
	p := s.open()
	if got := s.conns()[1].slot; got != slot {
		t.Fatalf("slot %d, want %d", got, slot)
	}
	for i := range 20 {
		stale()
		p.talk(i, i+1)
	}
	stale()
	p.sendClose(1000, "")
	p.wantClose(1000)
	stale() // while it lingers
	_ = p.Close()
	ends.want("1000 ")
}

// Events of several leaders may have the same backlog sent.
func TestFlushTogether(t *testing.T) {
	accept, conns := one(&funcs{}, &Limits{Queue: 200 << 10})
	s := newSiteOn(t, smallBuffers(t), Options{Reader: Epoll}, accept)
	p := s.open()
	c := <-conns
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					s.polled().flush(c)
					runtime.Gosched()
				}
			}
		})
	}
	const n = 5000
	wg.Go(func() {
		for i := 0; i < n; {
			if c.Send(AppendText(nil, strconv.AppendInt(pattern(1000), int64(i), 10))) {
				i++
			} else {
				time.Sleep(100 * time.Microsecond)
			}
		}
	})
	for i := range n {
		p.want(fin|opText, string(strconv.AppendInt(pattern(1000), int64(i), 10)))
	}
	close(stop)
	wg.Wait()
}

// OnDrain has no Turn to say that it waits, and so the watchdog helps.
func TestWaitInDrain(t *testing.T) {
	g := newGate(t)
	accept, conns := one(&funcs{message: echo, drain: func(*Conn) { g.wait() }}, &Limits{Queue: 100 << 10})
	s := newSite(t, Options{Reader: Epoll, CloseTimeout: 80 * time.Millisecond}, accept)
	p, other := s.open(), s.open()
	c := <-conns
	f := AppendBinary(nil, pattern(60<<10))
	for c.Send(f) {
	}
	go func() {
		for {
			if _, _, err := p.next(); err != nil {
				return
			}
		}
	}()
	eventually(t, "it waits", func() bool { return g.waiting.Load() > 0 })
	other.talk(0, 5)
	for range 50 {
		c.Send(f)
	}
	other.talk(5, 10)
	g.release()
	eventually(t, "all is sent", func() bool { return c.Queued() == 0 })
	other.talk(10, 15)
}

// Flooders that a reader has not come to the end of do not keep it from others.
// Counted is what of the flood is handled before somebody else's message, that
// came with it.
func TestFlood(t *testing.T) {
	const mark = 77
	g := newGate(t)
	var flood atomic.Int64
	others := make(chan int64, 10)
	s := newSite(t, Options{Reader: Epoll}, with(&funcs{message: func(_ *Turn, _ *Conn, _ Kind, p []byte) {
		switch {
		case len(p) == 0:
			flood.Add(1)
		case p[0] == mark:
			others <- flood.Load()
		default:
			g.wait()
		}
	}}, nil))
	p, other := s.open(), s.open()
	p.send(fin|opText, "wait") // without saying so
	eventually(t, "it waits", func() bool { return g.waiting.Load() == 1 })
	frame := clientFrame(fin|opText, nil)
	var frames []byte
	for range 10_000 {
		frames = append(frames, frame...)
	}
	sent := 0
	_ = p.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	for sent < 200<<20 {
		n, err := p.Write(frames)
		if sent += n; err != nil {
			break // the buffers are full
		}
	}
	if all := sent / len(frame); all < 40_000 {
		t.Fatalf("no more than %d messages fitted into the buffers", all)
	}
	other.send(fin|opBinary, string([]byte{mark}))
	time.Sleep(20 * time.Millisecond)
	g.release()
	if n := receive(t, others); n > 20_000 {
		t.Errorf("%d messages of the flood were handled first, of %d", n, sent/len(frame))
	}
	_ = p.Close()
}

// A leader that is relieved while it accepts goes on, beside the next.
func TestAcceptTogether(t *testing.T) {
	s := newSite(t, Options{Reader: Epoll}, with(&funcs{message: echo}, nil))
	s.open().talk(0, 1)
	f := s.polled().frontOf(-1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					s.polled().accept(f)
					time.Sleep(20 * time.Microsecond)
				}
			}
		})
	}
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 30 {
				p := s.open()
				p.talk(0, 1)
				_ = p.Close()
			}
		})
	}
	clients.Wait()
	close(stop)
	wg.Wait()
}
