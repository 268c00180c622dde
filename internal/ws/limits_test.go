package ws

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// one is an Acceptor for one connection, which it hands to the test.
func one(h Handler, l *Limits) (Acceptor, chan *Conn) {
	ch := make(chan *Conn, 100)
	return func(_ *Request, c *Conn) (Handler, *Limits, *Refusal) {
		ch <- c
		return h, l, nil
	}, ch
}

func TestSlowReader(t *testing.T) {
	const limit = 256 << 10
	var drains atomic.Int32
	drained := make(chan int, 100)
	h := &funcs{drain: func(c *Conn) { drains.Add(1); drained <- c.Queued() }}
	accept, conns := one(h, &Limits{Queue: limit})
	s := newSite(t, Options{}, accept)
	p := s.open()
	c := <-conns
	var want bytes.Buffer
	frame := func(i int) []byte { return AppendText(nil, fmt.Appendf(nil, "%08d%s", i, pattern(992))) }
	i := 0
	for round := 1; round <= 3; round++ {
		for ; ; i++ {
			f := frame(i)
			bad := bytes.Clone(f)
			ok := c.Send(f[:len(f):len(f)])
			if !bytes.Equal(f, bad) {
				t.Fatal("Send changed its slice")
			}
			clear(f) // and does not keep it
			if !ok {
				break
			}
			want.Write(bad)
			if q := c.Queued(); q > limit {
				t.Fatalf("%d bytes wait", q)
			}
		}
		if c.Send(frame(-1)) {
			t.Fatal("taken")
		}
		got := make([]byte, want.Len())
		for n := 0; n < len(got); {
			m, err := p.br.Read(got[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += m
		}
		if !bytes.Equal(got, want.Bytes()) {
			t.Fatal("not what was sent")
		}
		want.Reset()
		if q := receive(t, drained); q > limit/4 {
			t.Errorf("OnDrain with %d bytes waiting", q)
		}
		eventually(t, "all sent", func() bool { return c.Queued() == 0 })
		if n := drains.Load(); n != int32(round) {
			t.Errorf("%d OnDrain in round %d", n, round)
		}
	}
	if s.Stats().Drops != 6 {
		t.Errorf("%d drops", s.Stats().Drops)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.back != nil {
		t.Error("memory is kept")
	}
}

// Several frames of one Send stay together, however the socket cuts them.
func TestSendSeveral(t *testing.T) {
	accept, conns := one(&funcs{}, nil)
	s := newSite(t, Options{}, accept)
	p := s.open()
	c := <-conns
	big := pattern(100 << 10)
	const rounds = 60
	for range rounds {
		c.Send(AppendText(nil, []byte("a")), AppendBinary(nil, big), AppendText(nil, nil))
		c.Send()
		c.Send(nil, AppendText(nil, []byte("b")), AppendText(nil, []byte("c")))
	}
	for range rounds {
		p.want(fin|opText, "a")
		p.want(fin|opBinary, string(big))
		p.want(fin|opText, "")
		p.want(fin|opText, "b")
		p.want(fin|opText, "c")
	}
}

func TestAlwaysTakenWhenEmpty(t *testing.T) {
	accept, conns := one(&funcs{}, &Limits{Queue: 10})
	s := newSite(t, Options{}, accept)
	p := s.open()
	c := <-conns
	if !c.Send(AppendBinary(nil, pattern(20<<20))) {
		t.Fatal("refused")
	}
	p.want(fin|opBinary, string(pattern(20<<20)))
}

// fill sends until the socket takes no more.
func fill(t *testing.T, c *Conn) {
	t.Helper()
	f := AppendBinary(nil, pattern(60<<10))
	for c.Send(f) {
	}
}

func TestWriteStall(t *testing.T) {
	ends := newEndings(t)
	accept, conns := one(&funcs{closed: ends.closed}, &Limits{Queue: 300 << 10})
	s := newSite(t, Options{WriteStall: 150 * time.Millisecond, CloseTimeout: 100 * time.Millisecond}, accept)
	p := s.open()
	c := <-conns
	began := time.Now()
	fill(t, c)
	ends.want("4008 too slow, no progress")
	if d := time.Since(began); d < 100*time.Millisecond {
		t.Errorf("after %v", d)
	}
	if q := c.Queued(); q > 70<<10 {
		t.Errorf("%d bytes still wait", q)
	}
	eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
	if st := s.Stats(); st.Stalls != 1 || st.Closes[4008] != 1 {
		t.Errorf("%+v", st)
	}
	p.wantGone()
}

// Who wakes up in time still reads why.
func TestStalledPeerLearnsWhy(t *testing.T) {
	ends := newEndings(t)
	accept, conns := one(&funcs{closed: ends.closed}, &Limits{Queue: 300 << 10})
	s := newSite(t, Options{WriteStall: 100 * time.Millisecond}, accept)
	p := s.open()
	fill(t, <-conns)
	ends.want("4008 too slow, no progress")
	for {
		f, b, err := p.next()
		if err != nil {
			t.Fatal(err)
		}
		if f == fin|opClose {
			if string(b) != "\x0f\xa8too slow, no progress" {
				t.Errorf("%q", b)
			}
			break
		}
		if f != fin|opBinary || !bytes.Equal(b, pattern(60<<10)) {
			t.Fatal("a frame was cut")
		}
	}
	p.wantEOF()
}

// A peer that is slow but moves is left alone.
func TestSlowIsNoStall(t *testing.T) {
	ends := newEndings(t)
	accept, conns := one(&funcs{closed: ends.closed}, &Limits{})
	s := newSite(t, Options{WriteStall: 400 * time.Millisecond}, accept)
	p := s.open()
	c := <-conns
	const n = 12 << 20
	c.Send(AppendBinary(nil, pattern(n)))
	for got := 0; got < n; {
		m, err := p.br.Read(make([]byte, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		if got += m; got%7 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	c.Close(1000, "")
	ends.want("1000 ")
}

func TestTooBig(t *testing.T) {
	for name, send := range map[string]func(p *peer){
		"in one frame": func(p *peer) { p.send(fin|opText, repeat("x", 1001)) },
		"as claimed":   func(p *peer) { p.write([]byte("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04")) },
		"in fragments": func(p *peer) { p.send(opText, repeat("x", 600)); p.send(fin, repeat("x", 401)) },
		"in many":      func(p *peer) { p.send(opText, ""); p.send(0, repeat("x", 1000)); p.send(0, "x") },
	} {
		t.Run(name, func(t *testing.T) {
			ends := newEndings(t)
			s := newSite(t, Options{}, with(&funcs{message: echo, closed: ends.closed}, &Limits{MaxMessage: 1000}))
			p := s.open()
			p.send(fin|opText, repeat("x", 1000))
			p.want(fin|opText, repeat("x", 1000))
			send(p)
			p.wantClose(1009)
			ends.want("1009 message too big")
		})
	}
}

// Fourteen bytes that claim a gigabyte cost nothing.
func TestClaimsCostNothing(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	h := &funcs{}
	for range 100 {
		c, _ := fed(h, &Limits{})
		tn := takeTurn(c)
		c.feed(tn, []byte("\x82\xff\x00\x00\x00\x00\x40\x00\x00\x00\x01\x02\x03\x04abc"))
		tn.release()
		if c.part == nil || cap(c.part.message) > 4<<10 {
			t.Fatal("room for what did not come")
		}
	}
	runtime.ReadMemStats(&after)
	if d := after.TotalAlloc - before.TotalAlloc; d > 2<<20 {
		t.Errorf("%d bytes", d)
	}
}

func TestRate(t *testing.T) {
	var n atomic.Int32
	s := newSite(t, Options{}, with(&funcs{message: func(tn *Turn, _ *Conn, k Kind, p []byte) { n.Add(1); tn.Reply(k, p) }}, &Limits{Burst: 20, Rate: 100}))
	p := s.open()
	began := time.Now()
	for i := range 60 {
		p.send(fin|opText, strconv.Itoa(i))
	}
	for i := range 60 {
		p.want(fin|opText, strconv.Itoa(i))
	}
	if d := time.Since(began); d < 390*time.Millisecond {
		t.Errorf("60 frames took %v", d)
	}
}

func TestRateOff(t *testing.T) {
	s := newSite(t, Options{AbuseAfter: 10 * time.Millisecond}, with(&funcs{message: echo}, &Limits{Burst: 0, Rate: 1}))
	p := s.open()
	for i := range 500 {
		p.send(fin|opText, strconv.Itoa(i))
	}
	for i := range 500 {
		p.want(fin|opText, strconv.Itoa(i))
	}
}

func TestAbuse(t *testing.T) {
	for _, first := range []byte{fin | opText, fin | opPing, opText} {
		ends := newEndings(t)
		s := newSite(t, Options{AbuseAfter: 200 * time.Millisecond}, with(&funcs{closed: ends.closed}, &Limits{Burst: 10, Rate: 100}))
		p := s.open()
		go func() {
			f := clientFrame(first, nil)
			for {
				if _, err := p.Write(f); err != nil {
					return
				}
				if first == opText { // it goes on as continuations
					f = clientFrame(opContinuation, nil)
				}
			}
		}()
		ends.want("4029 retry-after-ms=1000")
		for {
			f, b, err := p.next()
			if err != nil {
				t.Fatal(err)
			}
			if f == fin|opClose {
				if !strings.HasSuffix(string(b), "retry-after-ms=1000") {
					t.Errorf("%q", b)
				}
				break
			}
		}
		_ = p.Close()
	}
}

// One burst that is too long, and then quiet, is no abuse.
func TestBurstIsNoAbuse(t *testing.T) {
	ends := newEndings(t)
	s := newSite(t, Options{AbuseAfter: 600 * time.Millisecond}, with(&funcs{message: echo, closed: ends.closed}, &Limits{Burst: 10, Rate: 100}))
	p := s.open()
	for range 3 {
		for range 35 {
			p.send(fin|opText, "x")
		}
		for range 35 {
			p.want(fin|opText, "x")
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.sendClose(1000, "")
	ends.want("1000 ")
}

func TestPending(t *testing.T) {
	var n atomic.Int32
	accept, conns := one(&funcs{message: func(tn *Turn, c *Conn, k Kind, p []byte) {
		n.Add(1)
		c.Acquire()
		tn.Reply(k, p)
	}}, &Limits{Pending: 3})
	s := newSite(t, Options{PingEvery: -1, DeadAfter: 100 * time.Millisecond}, accept)
	p := s.open()
	c := <-conns
	var b []byte
	for i := range 20 {
		b = append(b, clientFrame(fin|opText, fmt.Append(nil, i))...)
	}
	p.write(b)
	for i := range 3 {
		p.want(fin|opText, strconv.Itoa(i)) // replies are not kept back by the pause
	}
	time.Sleep(300 * time.Millisecond) // nor is a paused connection dead
	if n.Load() != 3 {
		t.Fatalf("%d messages", n.Load())
	}
	for i := 3; i < 20; i++ {
		c.Release()
		p.want(fin|opText, strconv.Itoa(i))
		if g := n.Load(); g != int32(i+1) {
			t.Fatalf("%d messages after %d", g, i)
		}
	}
	for range 3 {
		c.Release()
	}
	c.Release() // one too many is only logged
	c.Acquire()
	c.Release()
}

// A pause ends with the connection.
func TestPausedClose(t *testing.T) {
	ends := newEndings(t)
	accept, conns := one(&funcs{closed: ends.closed, message: func(_ *Turn, c *Conn, _ Kind, _ []byte) { c.Acquire() }}, &Limits{Pending: 1})
	s := newSite(t, Options{}, accept)
	p := s.open()
	p.send(fin|opText, "x")
	c := <-conns
	eventually(t, "paused", func() bool { return c.pending.Load() == 1 })
	c.Close(4001, "")
	ends.want("4001 ")
	p.wantClose(4001)
}

// Who asks and does not listen is not read from any more, and costs little.
func TestRepliesHoldBackReading(t *testing.T) {
	const limit = 64 << 10
	var n atomic.Int32
	accept, conns := one(&funcs{message: func(tn *Turn, _ *Conn, k Kind, _ []byte) {
		n.Add(1)
		tn.Reply(k, pattern(10_000))
	}}, &Limits{Queue: limit})
	s := newSite(t, Options{}, accept)
	p := s.open()
	c := <-conns
	const all = 3000
	go func() {
		for i := range all {
			if _, err := p.Write(clientFrame(fin|opText, fmt.Append(nil, i))); err != nil {
				return
			}
		}
	}()
	eventually(t, "reading stops", func() bool { return c.Queued() > limit })
	for range 50 {
		if q := c.Queued(); q > limit+2*replyAtOnce {
			t.Fatalf("%d bytes wait", q)
		}
		time.Sleep(time.Millisecond)
	}
	if n.Load() == all {
		t.Error("it went on reading")
	}
	for range all {
		p.want(fin|opText, string(pattern(10_000)))
	}
}

// A flood of pings to a full queue owes one pong, the latest.
func TestPingFlood(t *testing.T) {
	var mark atomic.Bool
	accept, conns := one(&funcs{message: func(*Turn, *Conn, Kind, []byte) { mark.Store(true) }}, &Limits{Queue: 100 << 10})
	s := newSite(t, Options{}, accept)
	p := s.open()
	c := <-conns
	c.Send(AppendBinary(nil, pattern(20<<20)))
	had := c.Queued()
	if had < 1<<20 {
		t.Fatal("the socket took all")
	}
	for i := range 20_000 {
		p.send(fin|opPing, strconv.Itoa(i))
	}
	p.send(fin|opText, "done")
	eventually(t, "all are read", mark.Load)
	if q := c.Queued(); q > had {
		t.Errorf("%d bytes wait, %d before", q, had)
	}
	p.want(fin|opBinary, string(pattern(20<<20)))
	p.want(fin|opPong, "19999")
	p.send(fin|opPing, "next")
	p.want(fin|opPong, "next")
}

// Nobody holds a buffer while nothing comes.
func TestIdleHoldsNothing(t *testing.T) {
	var conns sync.Map
	s := newSite(t, Options{}, func(_ *Request, c *Conn) (Handler, *Limits, *Refusal) {
		conns.Store(c, true)
		return &funcs{message: echo}, &Limits{Queue: 1 << 10}, nil
	})
	for range 10 {
		p := s.open()
		p.send(opText, "he")
		p.send(fin, "llo")
		p.want(fin|opText, "hello")
	}
	eventually(t, "idle", func() bool {
		idle := true
		conns.Range(func(k, _ any) bool {
			c := k.(*Conn)
			c.mu.Lock()
			idle = idle && c.heard.Load() != 0 && c.back == nil && c.held == nil && c.rate == nil && c.end == nil
			c.mu.Unlock()
			return true
		})
		return idle
	})
}
