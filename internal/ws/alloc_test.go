package ws

import (
	"io"
	"net"
	"testing"
)

// quiet reads whatever comes on a real socket.
func quiet(tb testing.TB, h Handler) (*site, *Conn, *peer) {
	tb.Helper()
	accept, conns := one(h, &Limits{Queue: 1 << 20})
	s := newSite(tb, Options{PingEvery: -1, DeadAfter: -1}, accept)
	p := s.open()
	return s, <-conns, p
}

// In the steady state neither direction allocates.
func TestAllocations(t *testing.T) {
	if raceEnabled { // its pools drop things on purpose
		return
	}
	_, c, p := quiet(t, &funcs{message: echo})
	frame := AppendText(nil, pattern(100))
	buf := make([]byte, 4<<10)
	check := func(what string, f func()) {
		t.Helper()
		if n := testing.AllocsPerRun(1000, f); n >= 0.5 { // a collection now and then empties the pools
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	check("Send", func() {
		c.Send(frame)
		_, _ = io.ReadFull(p.Conn, buf[:len(frame)])
	})
	check("Send of three", func() {
		c.Send(frame, frame, frame)
		_, _ = io.ReadFull(p.Conn, buf[:3*len(frame)])
	})
	masked := clientFrame(fin|opText, pattern(100))
	check("echo", func() {
		_, _ = p.Conn.Write(masked)
		_, _ = io.ReadFull(p.Conn, buf[:len(frame)])
	})
	ping := clientFrame(fin|opPing, pattern(10))
	check("ping and pong", func() {
		_, _ = p.Conn.Write(ping)
		_, _ = io.ReadFull(p.Conn, buf[:12])
	})
	fc, _ := fed(&funcs{}, &Limits{})
	turn := takeTurn(fc)
	stream := make([]byte, len(masked))
	check("feed", func() {
		copy(stream, masked)
		fc.feed(turn, stream)
	})
}

func BenchmarkEcho(b *testing.B) {
	_, _, p := quiet(b, &funcs{message: echo})
	masked := clientFrame(fin|opText, pattern(100))
	buf := make([]byte, 102)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = p.Conn.Write(masked)
		if _, err := io.ReadFull(p.Conn, buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFeed(b *testing.B) {
	c, _ := fed(&funcs{}, &Limits{})
	t := takeTurn(c)
	masked := clientFrame(fin|opText, pattern(100))
	stream := make([]byte, len(masked))
	b.ReportAllocs()
	b.SetBytes(int64(len(masked)))
	for b.Loop() {
		copy(stream, masked)
		c.feed(t, stream)
	}
}

func BenchmarkSendTo1000(b *testing.B) {
	accept, ch := one(&funcs{}, &Limits{Queue: 1 << 20})
	s := newSite(b, Options{PingEvery: -1, DeadAfter: -1}, accept)
	conns := make([]*Conn, 1000)
	for i := range conns {
		p := s.open()
		conns[i] = <-ch
		go func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }(p.Conn)
	}
	frame := AppendText(nil, pattern(100))
	b.ReportAllocs()
	for b.Loop() {
		for _, c := range conns {
			c.Send(frame)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/delivery")
}

func BenchmarkMask(b *testing.B) {
	p := pattern(4096)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		mask(p, 0x12345678)
	}
}
