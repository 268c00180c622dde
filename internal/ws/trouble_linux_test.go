//go:build linux && (amd64 || arm64)

package ws

import (
	"bytes"
	"net"
	"syscall"
	"testing"
	"time"
)

// An event that comes too late may find its slot with a connection that the
// poller does not read.
func TestStaleEventForAStream(t *testing.T) {
	ends := newEndings(t)
	accept := with(&funcs{message: echo, closed: ends.closed}, nil)
	s := newSite(t, Options{Reader: Epoll}, accept)
	s.open().talk(0, 1)
	old := s.open()
	slot := s.conns()[1].slot
	_ = old.Close()
	ends.want("1006 ")
	eventually(t, "gone", func() bool { return s.Stats().Open == 1 })
	theirs, ours := net.Pipe()
	s.wg.Go(func() { serveOne(s.Server, theirs, accept) })
	p := &peer{tb: t, Conn: ours, br: newReader(ours)}
	_ = ours.SetDeadline(time.Now().Add(generous))
	p.write([]byte(opening))
	p.wantOpen()
	if got := s.conns()[1].slot; got != slot {
		t.Fatalf("slot %d, want %d", got, slot)
	}
	tn := takeTurn(nil)
	s.polled().event(tn, syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: slot})
	tn.release()
	p.talk(0, 4)
	select {
	case e := <-ends.ch:
		t.Errorf("OnClose(%s) of a connection that is well", e)
	default:
	}
	_ = ours.Close()
}

// Replies are bounded for a peer that is ahead of its rate as for any other.
func TestRepliesAreBoundedAheadOfTheRate(t *testing.T) {
	for _, reader := range []Reader{Epoll, Goroutine} {
		t.Run(string(reader), func(t *testing.T) {
			reply := bytes.Repeat([]byte("x"), 2<<10)
			lim := &Limits{Queue: 64 << 10, Burst: 10, Rate: 1000}
			accept, conns := one(&funcs{message: func(tn *Turn, _ *Conn, k Kind, _ []byte) { tn.Reply(k, reply) }}, lim)
			s := newSiteOn(t, smallBuffers(t), Options{Reader: reader}, accept)
			p := s.open()
			c := <-conns
			go func() {
				frames := bytes.Repeat(clientFrame(fin|opText, []byte("a")), 1000)
				for {
					if _, err := p.Write(frames); err != nil {
						return
					}
				}
			}()
			eventually(t, "the queue is full", func() bool { return c.Queued() > lim.Queue })
			most := 0
			for range 100 {
				most = max(most, c.Queued())
				time.Sleep(5 * time.Millisecond)
			}
			if most > 4*lim.Queue {
				t.Errorf("%d bytes wait, and the queue is %d", most, lim.Queue)
			}
			_ = p.Close()
		})
	}
}

// The clock of a server that nobody came to for long is right for who comes.
func TestFirstAfterLong(t *testing.T) {
	s := newSite(t, Options{Reader: Epoll}, with(&funcs{message: echo}, nil))
	s.now.Store(-int64(time.Hour)) // nobody came for an hour, and so nobody looked at the clock
	p := s.dial()
	var heard int64
	eventually(t, "it is there", func() bool {
		for _, c := range s.conns() {
			heard = c.heard.Load()
		}
		return heard != 0
	})
	if silent := time.Duration(s.clock() - heard); silent > time.Minute {
		t.Errorf("who has just come was silent for %v", silent)
	}
	_ = p.Close()
}

// Nothing follows a Close frame (RFC 6455, section 5.5.1), not even the answer
// to a ping that came before.
func TestNoPongBehindClose(t *testing.T) {
	accept, conns := one(&funcs{}, &Limits{Queue: 64 << 10})
	s := newSiteOn(t, smallBuffers(t), Options{}, accept)
	p := s.open()
	c := <-conns
	for c.Send(AppendBinary(nil, make([]byte, 30<<10))) {
	}
	full := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.full()
	}
	for !full() {
		c.push(AppendBinary(nil, make([]byte, 60<<10)), 1)
	}
	p.send(fin|opPing, "late")
	eventually(t, "the ping waits", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.back != nil && c.back.ping != nil
	})
	c.Close(1000, "")
	for closed := false; ; {
		f, _, err := p.next()
		if err != nil {
			if !closed {
				t.Error(err)
			}
			break
		}
		if closed {
			t.Errorf("%x behind the Close frame", f)
		}
		closed = closed || f == fin|opClose
	}
	_ = p.Close()
}

// Two handlers that wait and do not say so, one after the other: who comes back
// does not hide the other.
func TestTwoUndeclaredWaits(t *testing.T) {
	a, b := newGate(t), newGate(t)
	s := newSite(t, Options{Reader: Epoll}, with(&funcs{message: func(tn *Turn, _ *Conn, k Kind, p []byte) {
		switch string(p) {
		case "a":
			a.wait()
		case "b":
			b.wait()
		}
		tn.Reply(k, p)
	}}, nil))
	p1, p2, other := s.open(), s.open(), s.open()
	p1.send(fin|opText, "a")
	eventually(t, "the first is relieved", func() bool {
		p := s.polled()
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.workers == 1
	})
	p2.send(fin|opText, "b")
	eventually(t, "the second waits", func() bool { return b.waiting.Load() == 1 })
	a.release()
	p1.want(fin|opText, "a")
	other.talk(0, 1)
	b.release()
	p2.want(fin|opText, "b")
}
