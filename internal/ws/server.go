package ws

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/remote"
)

// Reader is a way of reading connections.
type Reader string

// The ways of reading. Both behave alike; they differ in what they cost.
const (
	// Epoll keeps plain TCP connections in one edge-triggered epoll set: no
	// goroutine, stack or buffer for one that is idle. What is no plain TCP,
	// and all of it on other systems than Linux, is read as with Goroutine.
	Epoll Reader = "epoll"
	// Goroutine reads each connection by a goroutine of its own.
	Goroutine Reader = "goroutine"
)

// Options of a Server. A zero is the default; a negative PingEvery, ProveAfter,
// DeadAfter or AbuseAfter is off.
type Options struct {
	Reader           Reader        // Epoll
	Silent           int           // how many connections of one address (of one remote.Network) may be there without a request; 0 is any number
	PingEvery        time.Duration // 25 s
	ProveAfter       time.Duration // 1 s after something was sent on a connection with Limits.Prove, a ping follows it; off without PingEvery
	DeadAfter        time.Duration // 60 s without a byte from the peer, while we read: 1006
	WriteStall       time.Duration // 30 s with something to send and no byte taken: StallCode
	AbuseAfter       time.Duration // 10 s ahead of Limits.Rate without a break: 4029
	CloseTimeout     time.Duration // 5 s for the peer to end its side
	HandshakeTimeout time.Duration // 10 s for the request to come, and for its answer to be taken
	StallCode        uint16        // 4008
	Log              *slog.Logger  // panics of handlers; nil is slog.Default()
}

func (o *Options) fill() {
	set := func(d *time.Duration, standard time.Duration, canBeOff bool) {
		if *d == 0 || *d < 0 && !canBeOff {
			*d = standard
		}
	}
	set(&o.PingEvery, 25*time.Second, true)
	set(&o.ProveAfter, time.Second, true)
	if o.PingEvery < 0 {
		o.ProveAfter = -1
	}
	set(&o.DeadAfter, 60*time.Second, true)
	set(&o.AbuseAfter, 10*time.Second, true)
	set(&o.WriteStall, 30*time.Second, false)
	set(&o.CloseTimeout, 5*time.Second, false)
	set(&o.HandshakeTimeout, 10*time.Second, false)
	if !ValidCloseCode(o.StallCode) {
		o.StallCode = CodeTooSlow
	}
	if o.Reader == "" {
		o.Reader = defaultReader
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
}

// Server owns the connections that it accepted or that were handed to it, what
// reads them, and one goroutine that walks over them.
type Server struct {
	// static
	opt   Options
	start time.Time
	tick  time.Duration // of the walker
	count counters
	table table
	quit  chan struct{} // closed when Shutdown begins

	now atomic.Int64   // the clock as of the last tick
	wg  sync.WaitGroup // connections, and what reads and writes them

	// guarded by mu
	mu       sync.Mutex
	free     []int32                // slots of table
	slots    int32                  // of table that were ever used
	silent   map[remote.Network]int // how many connections of an address have not said what they want
	watched  []*Conn                // new in the walker's list
	poller   *poller                // nil before the first polled connection
	stopping bool
	walker   chan struct{} // closed when the walker has gone; nil before the first connection
	stop     chan struct{} // closed to stop it
}

// New makes a server. It does nothing until there is a connection, and then
// runs until Shutdown.
func New(o Options) *Server {
	o.fill()
	s := &Server{opt: o, start: time.Now(), stop: make(chan struct{}), quit: make(chan struct{})}
	s.tick = o.tick()
	s.now.Store(s.clock())
	return s
}

// clock is the time since the start, never 0.
func (s *Server) clock() int64 { return int64(time.Since(s.start)) + 1 }

// Serve takes over nc from whoever read the request r; buffered is what was read
// of nc beyond it. It checks the handshake, asks accept, and returns when it has
// answered, yes or no; the connection goes on by itself.
func (s *Server) Serve(nc net.Conn, buffered []byte, r *Request, accept Acceptor) {
	early, from := append([]byte(nil), buffered...), remote.Of(nc.RemoteAddr())
	if h, ok := nc.(*handed); ok { // it was ours before
		nc, early = h.Conn, append(early, h.early...)
	}
	_ = nc.SetDeadline(time.Time{})
	c := s.adopt(nc, from)
	if c == nil {
		c = &Conn{srv: s, sock: newStream(nc), addr: from, lim: &noLimits, back: new(backlog)}
	}
	if !s.join(c) {
		s.count.refused.Add(1)
		_ = nc.SetDeadline(time.Now().Add(time.Second))
		_, _ = nc.Write(refuse(503, "the server is going down").append(nil, r.Method))
		_ = nc.Close()
		c.sock.abandon(c)
		return
	}
	c.sock.begin(c, nc)
	c.answerTo(r, accept)
	if len(early) > 0 && c.stage == live {
		c.half().kept = early
		s.count.bytesIn.Add(uint64(len(early)))
	}
	c.sock.run(c)
}

// answerTo answers the request, and leaves the connection live or closing.
func (c *Conn) answerTo(r *Request, accept Acceptor) {
	refusal := r.Check()
	valid := refusal == nil
	var h Handler
	var lim *Limits
	if valid {
		h, lim, refusal = c.ask(r, accept)
	}
	switch {
	case refusal == nil:
		c.srv.count.accepted.Add(1)
		c.open(appendSwitching(r.turn.room(), r), h, lim)
		c.stage = live
		return
	case valid && refusal.AsClose:
		c.refuse(AppendClose(appendSwitching(nil, r), refusal.Code, refusal.Reason))
	default:
		c.refuse(refusal.append(nil, r.Method))
	}
}

// ask calls the Acceptor.
func (c *Conn) ask(r *Request, accept Acceptor) (h Handler, lim *Limits, refusal *Refusal) {
	defer func() {
		if v := recover(); v != nil {
			c.srv.opt.Log.Error("ws: panic in a handler", "in", "Acceptor", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			h, refusal = nil, refuse(500, "internal error")
		}
	}()
	if h, lim, refusal = accept(r, c); h == nil && refusal == nil {
		c.srv.opt.Log.Error("ws: the Acceptor gave neither a Handler nor a Refusal", "path", r.Path)
		refusal = refuse(500, "internal error")
	}
	return h, lim, refusal
}

var noLimits Limits

// open lets the answer out, and behind it what was sent meanwhile.
func (c *Conn) open(answer []byte, h Handler, lim *Limits) {
	if lim == nil {
		lim = &noLimits
	}
	c.mu.Lock()
	c.h, c.lim = h, lim
	c.flags |= isOpen
	todo := c.answer(c.back.appendTo(answer), len(answer)) | c.reckon()
	c.mu.Unlock()
	c.do(todo)
}

// refuse answers with something else, and forgets what was sent.
func (c *Conn) refuse(answer []byte) {
	c.srv.count.refused.Add(1)
	c.mu.Lock()
	c.end = &ending{peer: true} // where it cannot see our end, it waits for us to close
	c.over.Store(true)
	todo := c.answer(answer, len(answer))
	c.mu.Unlock()
	c.stage = lingering
	c.do(todo)
}

// answer is put for the answer to the handshake, whose first mark bytes are no
// frames. Needs mu.
func (c *Conn) answer(p []byte, mark int) uint8 {
	c.back = nil
	n, err := c.sock.try(c, p)
	if err != nil {
		c.lose()
		return c.watch()
	}
	if n < len(p) || c.flags&isRefused != 0 {
		for at := mark; mark < n; mark = at {
			at += frameLen(p[at:])
		}
		b := &backlog{mark: mark - n}
		b.copy(p[n:])
		c.queue(b)
		c.back.due = c.srv.clock() + int64(c.srv.opt.HandshakeTimeout)
		return c.watch()
	}
	if c.end != nil {
		return c.final() | c.watch()
	}
	return 0
}

// join puts a connection into the table; false when the server stops, or is full,
// or too many of that address are silent already.
func (s *Server) join(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping || len(s.free) == 0 && s.slots == maxSlots || c.flags&isNew != 0 && !s.mayBeSilent(c) {
		return false
	}
	if s.walker == nil {
		s.walker = make(chan struct{})
		s.now.Store(s.clock())
		go s.walk(s.walker)
	}
	if n := len(s.free); n > 0 {
		c.slot, s.free = s.free[n-1], s.free[:n-1]
	} else {
		c.slot = s.slots
		s.slots++
	}
	s.table.set(c.slot, c)
	s.count.open.Add(1)
	s.wg.Add(1)
	return true
}

// mayBeSilent counts a connection of which no request came yet. Needs mu.
func (s *Server) mayBeSilent(c *Conn) bool {
	most := s.opt.Silent
	if most <= 0 {
		return true
	}
	if s.silent == nil {
		s.silent = map[remote.Network]int{}
	}
	from := c.addr.Network()
	if s.silent[from] >= most {
		return false
	}
	s.silent[from]++
	return true
}

// spoke ends it.
func (s *Server) spoke(c *Conn) {
	if s.opt.Silent <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from := c.addr.Network()
	if n := s.silent[from]; n > 1 {
		s.silent[from] = n - 1
	} else {
		delete(s.silent, from)
	}
}

// leave takes it out, at the very end but for closing its descriptor.
func (s *Server) leave(c *Conn) {
	s.mu.Lock()
	s.table.set(c.slot, nil)
	s.free = append(s.free, c.slot)
	s.mu.Unlock()
}

// gone is the very end of a connection, and of what read it.
func (s *Server) gone() {
	s.count.open.Add(-1)
	s.wg.Done()
}

// ErrForced is what Shutdown returns, joined with the context's error, when it
// had to cut connections off.
var ErrForced = errors.New("ws: connections were cut off")

// errHangs is that of a handler that does not come back.
var errHangs = errors.New("some handlers still run")

// afterForce is how long Shutdown waits for handlers when there is no time left.
const afterForce = 2 * time.Second

// Shutdown accepts and takes over no more connections and reads no more from
// those that are there, closes each one with what why says for the i-th of n
// (nil: 1001) once what it said is answered, and waits until all have gone and
// all goroutines with them. When ctx ends first, it cuts off what is left.
func (s *Server) Shutdown(ctx context.Context, why func(i, n int) (code uint16, reason string)) error {
	s.mu.Lock()
	first := !s.stopping
	s.stopping = true
	s.mu.Unlock()
	if first {
		close(s.quit)
	}
	s.dismiss(ctx, slices.DeleteFunc(s.conns(), (*Conn).silent), why)
	gone := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(gone)
	}()
	var err error
	select {
	case <-gone:
	case <-ctx.Done():
		err = s.force(ctx, gone)
	}
	s.mu.Lock()
	walker, p := s.walker, s.poller
	s.mu.Unlock()
	if first {
		close(s.stop)
		p.close()
	}
	if walker != nil {
		<-walker
	}
	if !errors.Is(err, errHangs) {
		p.gone()
	}
	return err
}

// The bounds of waiting for answers that are still to be sent: what asks for
// them is mostly a commit, and the peer has to be told within ctx, too.
const (
	answersWithin = 5 * time.Second
	answersLook   = 5 * time.Millisecond
)

// dismiss closes connections. One with work under way for it (a pass, or what
// was Acquired) is closed when that is done: who was told no answer would have to
// ask again.
func (s *Server) dismiss(ctx context.Context, conns []*Conn, why func(i, n int) (code uint16, reason string)) {
	within := answersWithin
	if end, ok := ctx.Deadline(); ok {
		within = min(within, time.Until(end)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	t := time.NewTicker(answersLook)
	defer t.Stop()
	for left := len(conns); left > 0; {
		late := ctx.Err() != nil
		for i, c := range conns {
			if c == nil || !late && c.pending.Load()%unread > 0 {
				continue
			}
			code, reason := CodeGoingAway, ""
			if why != nil {
				code, reason = why(i, len(conns))
			}
			c.Close(code, reason)
			conns[i] = nil
			left--
		}
		if left > 0 {
			select {
			case <-t.C:
			case <-ctx.Done():
			}
		}
	}
}

// force cuts off what is left, and waits for it as long as a handler needs that
// does not hang.
func (s *Server) force(ctx context.Context, gone <-chan struct{}) error {
	conns := s.conns()
	for _, c := range conns {
		c.mu.Lock()
		c.kill()
		c.mu.Unlock()
	}
	var err error
	if len(conns) > 0 {
		err = fmt.Errorf("%w: %d: %w", ErrForced, len(conns), context.Cause(ctx))
	}
	t := time.NewTimer(afterForce)
	defer t.Stop()
	select {
	case <-gone:
		return err
	case <-t.C:
		return fmt.Errorf("%w: %d; %w: %w", ErrForced, len(conns), errHangs, context.Cause(ctx))
	}
}

// conns is who is there now.
func (s *Server) conns() []*Conn {
	s.mu.Lock()
	n := s.slots
	s.mu.Unlock()
	var all []*Conn
	for i := range n {
		if c := s.table.get(i); c != nil {
			all = append(all, c)
		}
	}
	return all
}
