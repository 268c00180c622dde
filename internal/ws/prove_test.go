package ws

import (
	"strings"
	"testing"
	"time"
)

// What is sent is followed by a ping, where that was asked for: once, and not
// before what it proves. Who is sent nothing hears nothing.
func TestProving(t *testing.T) {
	conns := make(chan *Conn, 3)
	limits := map[string]*Limits{"proving": {Prove: true}, "quiet": {Prove: true}, "plain": {}}
	s := newSite(t, Options{PingEvery: time.Hour, ProveAfter: 10 * time.Millisecond}, func(r *Request, c *Conn) (Handler, *Limits, *Refusal) {
		kind := r.Query().Get("kind")
		if kind != "quiet" {
			c.Send(AppendText(nil, []byte("before the answer")))
		}
		conns <- c
		return &funcs{ping: func(_ *Conn, dst []byte) []byte { return append(dst, kind...) }}, limits[kind], nil
	})
	open := func(kind string) (*peer, *Conn) {
		p := s.dial()
		p.write([]byte(strings.Replace(opening, "a=1", "kind="+kind, 1)))
		p.wantOpen()
		return p, receive(t, conns)
	}
	quiet, quietConn := open("quiet")
	plain, plainConn := open("plain")
	p, c := open("proving")
	plain.want(fin|opText, "before the answer")
	p.want(fin|opText, "before the answer")
	p.want(fin|opPing, "proving")
	for range 5 { // and so for many a look of the walker's at the others
		c.Send(AppendText(nil, []byte("a")), AppendText(nil, []byte("b")))
		p.want(fin|opText, "a")
		p.want(fin|opText, "b")
		p.want(fin|opPing, "proving")
	}
	plainConn.Send(AppendText(nil, []byte("still here")))
	plain.want(fin|opText, "still here")
	quietConn.Send(AppendText(nil, []byte("hello")))
	quiet.want(fin|opText, "hello")
	quiet.want(fin|opPing, "quiet")
	eventually(t, "seven pings for the seven times that something was sent", func() bool { return s.Stats().Pings >= 7 })
	if n := s.Stats().Pings; n != 7 {
		t.Errorf("%d pings", n)
	}
}

// Without keepalive nobody is pinged.
func TestNoProvingWithoutPings(t *testing.T) {
	if o := (Options{PingEvery: -1}); true {
		if o.fill(); o.ProveAfter > 0 {
			t.Errorf("pings are off, and what is sent is proved after %v", o.ProveAfter)
		}
	}
}
