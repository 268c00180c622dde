package hub

import (
	"context"

	"github.com/kabar-io/kabar/internal/journal"
)

// Cursor reads a topic at its own pace, for what hears it inside the server: a
// webhook, a process. It belongs to one goroutine.
type Cursor struct {
	hub     *Hub
	session Session
	pos     uint64
	wake    waker
}

// Cursor makes one that begins after seq. Close it.
func (h *Hub) Cursor(ctx context.Context, topic string, seq uint64) (*Cursor, error) {
	c := &Cursor{hub: h, pos: seq, wake: waker{more: make(chan struct{}, 1), end: make(chan struct{}, 1)}}
	c.session = Session{Conn: &c.wake, Format: tick{}, Topic: topic, Inside: Own}
	return c, h.Subscribe(ctx, &c.session, Now())
}

// Next waits until there is something after what it returned last, and returns
// some of it, in order. The error is ctx's, the log's, or ErrClosing.
func (c *Cursor) Next(ctx context.Context) ([]*journal.Message, error) {
	for {
		ms, err := c.hub.page(ctx, c.session.Topic, c.pos)
		if err != nil {
			return nil, err
		}
		if len(ms) > 0 {
			c.pos = ms[len(ms)-1].Seq(c.session.Topic)
			return ms, nil
		}
		select {
		case <-c.wake.more:
		case <-c.wake.end:
			return nil, ErrClosing
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Close ends the cursor. It may be called more than once.
func (c *Cursor) Close() { c.hub.Unsubscribe(&c.session) }

// tick is the format of a session that only wants to know that there is more.
type tick struct{}

// Append writes a byte for whatever is kept.
func (tick) Append(dst []byte, _ *journal.Message, seq uint64) []byte {
	if seq == 0 {
		return dst
	}
	return append(dst, '.')
}

// waker is a Conn that always has room: of all that is sent, one word is left.
type waker struct{ more, end chan struct{} }

func (w *waker) Send(...[]byte) bool {
	signal(w.more)
	return true
}

// Share is Send.
func (w *waker) Share([]byte, func() []byte) bool { return w.Send() }

func (w *waker) Close(uint16, string) { signal(w.end) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
