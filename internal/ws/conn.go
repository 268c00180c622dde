package ws

import (
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is one connection. All its methods are for any goroutine, and none of
// them blocks. What is only needed in trouble (a backlog, an end, half a
// message) hangs on a pointer, so that an idle Conn stays small.
type Conn struct {
	// static
	srv    *Server
	nc     net.Conn
	raw    syscall.RawConn // nil where nc is not a plain socket
	remote string
	slot   int32 // in srv.slots

	// static once open; before that guarded by mu
	h   Handler
	lim *Limits

	over    atomic.Bool  // nothing more is delivered
	pending atomic.Int32 // Acquired and not Released
	heard   atomic.Int64 // silent since, in srv's coarse time; 0 while the reader is not waiting for the peer

	// owned by the reader
	part *partial
	rate *bucket

	// guarded by mu
	mu    sync.Mutex
	back  *backlog // what waits to be sent, and so: somebody is at work on it
	end   *ending
	gate  chan struct{} // wakes the reader where it is paused; nil otherwise
	users int16         // calls of the handler under way from other goroutines
	flags uint8
}

const (
	isOpen    = 1 << iota // the handshake is answered, or behind nothing but back
	isDead                // no use any more: the reader closes nc and goes
	isRefused             // a Send was refused, OnDrain is owed
	isWatched             // in the walker's list
	isFinal               // our side of the stream has ended
)

// ending is how and when a connection ends.
type ending struct {
	code   uint16
	reason string
	due    int64 // the peer must have gone by then, once all is sent
	peer   bool  // the peer's Close frame came
	lost   bool  // nothing can be sent any more; what still comes may tell why
}

// RemoteAddr is the peer's address as the Request had it.
func (c *Conn) RemoteAddr() string { return c.remote }

// Queued is how many bytes wait to be sent.
func (c *Conn) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.back.waiting()
}

// Close sends what waits, a Close frame and the end of our side, and gives the
// peer Options.CloseTimeout to end its own. OnClose follows at once. A code that
// may not stand on the wire becomes an empty Close frame. Only the first end of
// a connection counts.
func (c *Conn) Close(code uint16, reason string) {
	reason = cutReason(reason)
	var b [maxControl + 2]byte
	c.finish(&ending{code: code, reason: reason}, AppendClose(b[:0], code, reason))
}

// Acquire says that work for this connection goes on elsewhere; at
// Limits.Pending of them its reading pauses.
func (c *Conn) Acquire() { c.pending.Add(1) }

// Release ends one Acquire.
func (c *Conn) Release() {
	if c.pending.Add(-1) < 0 {
		c.pending.Add(1)
		c.srv.opt.Log.Error("ws: Release without Acquire", "stack", string(debug.Stack()))
	}
	c.mu.Lock()
	c.signal()
	c.mu.Unlock()
}

// finish ends the connection unless it has ended: frame is the last thing sent.
func (c *Conn) finish(e *ending, frame []byte) {
	c.mu.Lock()
	if c.flags&isDead != 0 || c.end != nil && !c.end.lost {
		c.mu.Unlock()
		return
	}
	lost := c.end != nil
	e.due = c.srv.clock() + int64(c.srv.opt.CloseTimeout)
	c.end = e
	c.stopReading()
	var todo uint8
	if !lost {
		if c.back != nil && c.flags&isOpen != 0 {
			c.back.due = c.srv.clock() + int64(c.srv.opt.WriteStall)
		}
		todo = c.put(frame)
	}
	todo |= c.watch()
	c.mu.Unlock()
	c.do(todo)
}

// stopReading wakes the reader wherever it is, to see that it is over. Needs mu.
func (c *Conn) stopReading() {
	c.over.Store(true)
	_ = c.nc.SetReadDeadline(past)
	c.signal()
}

// past is a deadline that wakes whoever waits.
var past = time.Unix(1, 0)

// kill ends the connection without a word. The reader, woken by the deadline, is
// the one who closes the descriptor. Needs mu.
func (c *Conn) kill() {
	if c.flags&isDead != 0 {
		return
	}
	c.flags |= isDead
	c.over.Store(true)
	_ = c.nc.SetDeadline(past)
	c.signal()
}

// lose notes that the socket takes nothing any more. Reading goes on: the peer's
// last words may be there. Needs mu.
func (c *Conn) lose() {
	if c.end == nil {
		c.end = &ending{code: CodeAbnormal, lost: true}
	}
	c.end.due = c.srv.clock() + int64(c.srv.opt.CloseTimeout)
}

// signal wakes the reader if it is paused. Needs mu.
func (c *Conn) signal() {
	if c.gate != nil {
		select {
		case c.gate <- struct{}{}:
		default:
		}
	}
}

// await pauses the reader until done, or the connection is over, or d has passed
// where d > 0. done is called with mu held.
func (c *Conn) await(d time.Duration, done func() bool) {
	c.pause(d, func() bool { return c.over.Load() || done() })
}

func (c *Conn) pause(d time.Duration, done func() bool) {
	var timeout <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timeout = t.C
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gate = make(chan struct{}, 1)
	defer func() { c.gate = nil }()
	for !done() {
		gate := c.gate
		c.mu.Unlock()
		select {
		case <-gate:
			c.mu.Lock()
		case <-timeout:
			c.mu.Lock()
			return
		}
	}
}

// What is left to do when mu is unlocked again.
const (
	todoDrain = 1 << iota // start the writer
	todoFin               // end our side of the stream
	todoWatch             // have the walker look at it
)

func (c *Conn) do(todo uint8) {
	if todo == 0 {
		return
	}
	if todo&todoWatch != 0 {
		c.srv.watch(c)
	}
	if todo&todoFin != 0 {
		c.halfClose()
	}
	if todo&todoDrain != 0 {
		go c.drain()
	}
}

// watch asks for the walker's look at each tick. Needs mu.
func (c *Conn) watch() uint8 {
	if c.flags&isWatched != 0 {
		return 0
	}
	c.flags |= isWatched
	return todoWatch
}

type halfCloser interface{ CloseWrite() error }

func (c *Conn) halfClose() {
	if h, ok := c.nc.(halfCloser); ok {
		_ = h.CloseWrite()
	}
}

// call begins a call of the handler from a goroutine other than the reader; false
// where OnClose may be next. Needs mu.
func (c *Conn) call() bool {
	if c.flags&(isOpen|isDead) != isOpen || c.end != nil || c.over.Load() {
		return false
	}
	c.users++
	return true
}

// called ends it.
func (c *Conn) called() {
	c.mu.Lock()
	c.users--
	c.signal()
	c.mu.Unlock()
}

// recovered is deferred around each call of a handler.
func (c *Conn) recovered(where string) {
	if v := recover(); v != nil {
		c.srv.opt.Log.Error("ws: panic in a handler", "in", where, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		c.Close(CodeInternal, "internal error")
	}
}

func (c *Conn) onMessage(t *Turn, k Kind, p []byte) {
	defer c.recovered("OnMessage")
	c.h.OnMessage(t, c, k, p)
}

func (c *Conn) onPong(p []byte) {
	defer c.recovered("OnPong")
	c.h.OnPong(c, p)
}

func (c *Conn) onDrain() {
	defer c.called()
	defer c.recovered("OnDrain")
	c.h.OnDrain(c)
}

func (c *Conn) onClose(code uint16, reason string) {
	defer c.recovered("OnClose")
	c.h.OnClose(c, code, reason)
}

func (c *Conn) onPing(dst []byte) (p []byte) {
	defer c.called()
	defer c.recovered("Ping")
	return c.h.Ping(c, dst)
}
