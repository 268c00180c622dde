package ws

import (
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/kabar-io/kabar/internal/remote"
)

// Conn is one connection. All its methods are for any goroutine, and none of
// them blocks. What is only needed in trouble (a backlog, an end, half a
// message, a pause) hangs on a pointer, so that an idle Conn stays small: with
// plain TCP on Linux these 160 bytes are all that there is of it, beside its
// Handler.
type Conn struct {
	// static
	srv  *Server
	sock sock
	slot int32 // in srv.table
	addr remote.Addr

	// static once open; before that guarded by mu
	h   Handler
	lim *Limits

	pending atomic.Int32  // Acquired and not Released; a pass is one, too
	turn    atomic.Uint32 // of a polled connection: whose turn it is to read
	heard   atomic.Int64  // silent since, in srv's coarse time; 0 while nobody waits for the peer
	over    atomic.Bool   // nothing more is delivered

	// owned by who reads
	stage stage
	intake

	// guarded by mu
	flags uint8
	users int16 // calls of the handler under way from other goroutines
	fd    int32 // of a polled connection; -1 once it is closed
	mu    sync.Mutex
	back  *backlog // what waits to be sent, and so: somebody is at work on it
	end   *ending
	held  *hold // why no more is read for now
}

// intake is what reading a connection takes.
type intake struct {
	front *front // where it came in, until it is answered
	part  *partial
	rate  *bucket
}

const (
	isOpen    = 1 << iota // the handshake is answered, or behind nothing but back
	isDead                // no use any more: who reads closes it and goes
	isRefused             // a Send was refused, OnDrain is owed
	isWatched             // in the walker's list
	isFinal               // our side of the stream has ended
	isArmed               // the poller is asked to say when there is room
	isNew                 // no whole request came yet
	isOwed                // something was sent since the last ping, which the peer is to prove to have
)

// ending is how and when a connection ends.
type ending struct {
	code   uint16
	reason string
	due    int64 // the peer must have gone by then, once all is sent
	peer   bool  // the peer's Close frame came
	lost   bool  // nothing can be sent any more; what still comes may tell why
}

// sock is what depends on the way of reading: a socket in the poller's set (poller),
// or any net.Conn with a goroutine (stream).
type sock interface {
	// begin takes nc over for a connection that has joined, run reads it from
	// then on, elsewhere; abandon is for one that did not join.
	begin(c *Conn, nc net.Conn)
	run(c *Conn)
	abandon(c *Conn)
	// try offers p once, without waiting. Nothing taken is no error. Needs mu.
	try(c *Conn, p []byte) (int, error)
	// drain has the backlog sent as fast as it is taken. Needs mu.
	drain(c *Conn)
	// joins tells whether a short write is worth copying pieces together.
	joins() bool
	// halfClose ends our side of the stream.
	halfClose(c *Conn)
	// wake has who reads see that it is over. Needs mu.
	wake(c *Conn)
	// cut ends both sides at once; who reads then closes. Needs mu.
	cut(c *Conn)
	// wait pauses reading until h.done; true where that is so now. It may
	// return false at once, and go on at the same stage later.
	wait(c *Conn, h *hold) bool
	// resume ends a pause. Needs mu.
	resume(c *Conn, h *hold)
}

// RemoteAddr is the peer's address; zero of what is no TCP connection.
func (c *Conn) RemoteAddr() remote.Addr { return c.addr }

// Handler is who hears the connection; nil before it is open.
func (c *Conn) Handler() Handler {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&isOpen == 0 {
		return nil
	}
	return c.h
}

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
		todo = c.put(frame, nil)
	}
	todo |= c.watch()
	c.mu.Unlock()
	c.do(todo)
}

// stopReading has who reads see that it is over, wherever it is. Needs mu.
func (c *Conn) stopReading() {
	c.over.Store(true)
	c.sock.wake(c)
	c.signal()
}

// kill ends the connection without a word. Who reads, woken by that, is the one
// who closes the descriptor. Needs mu.
func (c *Conn) kill() {
	if c.flags&isDead != 0 {
		return
	}
	c.flags |= isDead
	c.over.Store(true)
	c.sock.cut(c)
	c.signal()
}

// broken is kill by who reads, of a connection that is no more: there is nothing
// to cut but what somebody may still be sending. Needs mu.
func (c *Conn) broken() {
	if c.back != nil {
		c.kill()
		return
	}
	c.flags |= isDead
	c.over.Store(true)
	c.signal()
}

// silent cuts off a connection of which no whole request came, where it is one.
func (c *Conn) silent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&isNew != 0 {
		c.kill()
	}
	return c.flags&isNew != 0
}

// lose notes that the socket takes nothing any more. Reading goes on: the peer's
// last words may be there. Needs mu.
func (c *Conn) lose() {
	if c.end == nil {
		c.end = &ending{code: CodeAbnormal, lost: true}
	}
	c.end.due = c.srv.clock() + int64(c.srv.opt.CloseTimeout)
}

// What is left to do when mu is unlocked again.
const (
	todoFin   = 1 << iota // end our side of the stream
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
		c.sock.halfClose(c)
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

func (c *Conn) onClose(t *Turn, code uint16, reason string) {
	defer c.recovered("OnClose")
	c.h.OnClose(t, c, code, reason)
}

func (c *Conn) onPing(dst []byte) (p []byte) {
	defer c.called()
	defer c.recovered("Ping")
	return c.h.Ping(c, dst)
}
