package ws

import (
	"context"
	"net"
	"testing"
	"time"
)

// Who takes no answers is closed like any other who takes nothing.
func TestAnswersThatNobodyTakes(t *testing.T) {
	ends := newEndings(t)
	k := pauses()["answers"]
	accept, conns := one(&funcs{message: k.message, closed: ends.closed}, k.lim)
	s := newSiteOn(t, smallBuffers(t), Options{AbuseAfter: -1, PingEvery: 20 * time.Millisecond, WriteStall: 150 * time.Millisecond, CloseTimeout: 100 * time.Millisecond}, accept)
	p := s.dial()
	_ = p.Conn.(*net.TCPConn).SetReadBuffer(100 << 10)
	p.write([]byte(opening))
	p.wantOpen()
	c := receive(t, conns)
	for range 20 {
		p.send(fin|opText, "x")
	}
	ends.want("4008 too slow, no progress")
	eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
	if n := s.Stats().MessagesIn; n == 20 {
		t.Error("nothing held the peer back")
	}
	c.Answer(AppendText(nil, []byte("late"))) // is dropped
	p.wantGone()
}

// Where the server stops, answers that wait are sent, and nothing is begun that
// the peer has said behind them.
func TestShutdownWhileAnswersWait(t *testing.T) {
	ends := newEndings(t)
	k := pauses()["answers"]
	accept, conns := one(&funcs{message: k.message, closed: ends.closed}, k.lim)
	s := newSiteOn(t, smallBuffers(t), Options{AbuseAfter: -1, PingEvery: -1, DeadAfter: -1, WriteStall: time.Hour, CloseTimeout: time.Hour}, accept)
	p, c := s.opened(conns)
	begun := s.Stats().MessagesIn
	if n := c.pending.Load(); n%unread != 0 || n == 0 {
		t.Errorf("%d are under way", n) // and would be waited for
	}
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), generous)
		defer cancel()
		done <- s.Shutdown(ctx, nil)
	}()
	ends.want("1001 ")
	texts := uint64(0)
	for {
		f, b, err := p.next()
		if err != nil {
			t.Fatal(err)
		}
		if f == fin|opClose {
			if string(b) != "\x03\xe9" {
				t.Errorf("%q", b)
			}
			break
		}
		if f == fin|opText {
			texts++
		}
	}
	if texts != begun || texts == 0 || s.Stats().MessagesIn != begun {
		t.Errorf("%d of %d are answered, and %d were begun", texts, begun, s.Stats().MessagesIn)
	}
	_ = p.Close()
	if err := receive(t, done); err != nil {
		t.Error(err)
	}
}
