package ws

import (
	"slices"
	"sync"
	"time"
)

const (
	readSize = 16 << 10 // what is read at a time
	// replyAtOnce is how many bytes of replies are collected before they leave
	// in the middle of a pass; and what a Turn may keep.
	replyAtOnce = 64 << 10
)

// Turn is one pass over what came from a connection: the messages of one read.
// It belongs to the call of OnMessage that it is given to.
type Turn struct {
	c      *Conn
	out    []byte        // replies and pongs, as frames
	frames int           // how many of them are messages
	full   bool          // so much waits that reading must
	paused bool          // the rest of what came waits until the Turn is settled
	rest   time.Duration // for how long, by the peer's rate
	lead   lead          // of the poller's role, if this Turn has it
	buf    [readSize]byte
}

var turns = sync.Pool{New: func() any { return new(Turn) }}

func takeTurn(c *Conn) *Turn {
	t := turns.Get().(*Turn)
	t.c = c
	return t
}

func (t *Turn) release() {
	t.c, t.frames, t.full, t.paused, t.rest, t.out = nil, 0, false, false, 0, t.out[:0]
	if cap(t.out) > replyAtOnce {
		t.out = nil
	}
	turns.Put(t)
}

// room is for putting an answer together that is sent or copied at once; nil
// where nobody reads.
func (t *Turn) room() []byte {
	if t == nil {
		return nil
	}
	t.out = slices.Grow(t.out, maxSwitching)
	return t.out[len(t.out):]
}

// Reply answers with a message. Replies are collected, and leave in one write at
// the end of the pass; so they come after what OnMessage sent by Conn.Send. They
// are never refused: where the peer does not take them, no more is read from it.
func (t *Turn) Reply(k Kind, p []byte) {
	if len(p) >= replyAtOnce {
		t.flush() // and so the one buffer is no longer than one message
	}
	t.out = AppendFrame(t.out, byte(k), p)
	if t.frames++; len(t.out) >= replyAtOnce {
		t.flush()
	}
}

// Blocking announces that the handler may now wait for something. What was
// replied leaves first, and somebody else goes on reading the other connections.
// It may be called more than once; a handler that waits without it holds all of
// them up.
func (t *Turn) Blocking() {
	if t == nil { // nobody reads for it
		return
	}
	t.flush()
	t.lead.handOn()
}

func (t *Turn) flush() {
	if len(t.out) == 0 {
		return
	}
	full := t.c.push(t.out, t.frames)
	t.full = full && t.frames > 0 || t.full
	t.out, t.frames = t.out[:0], 0
	if cap(t.out) > replyAtOnce {
		t.out = nil
	}
}
