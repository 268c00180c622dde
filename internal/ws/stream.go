package ws

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// ownBuffer is what a stream that is not a socket reads into: it must have a
// buffer before it knows that something is there.
const ownBuffer = 1 << 10

// stream is a connection with a goroutine of its own: any net.Conn.
type stream struct {
	nc  net.Conn
	raw syscall.RawConn // nil where nc is not a plain socket
}

func newStream(nc net.Conn) *stream { return &stream{nc: nc, raw: rawConn(nc)} }

func (s *stream) begin(*Conn, net.Conn) {}
func (s *stream) abandon(*Conn)         {}
func (s *stream) run(c *Conn)           { go s.read(c) }
func (s *stream) joins() bool           { return s.raw != nil }

// past is a deadline that wakes whoever waits.
var past = time.Unix(1, 0)

func (s *stream) wake(*Conn) { _ = s.nc.SetReadDeadline(past) }
func (s *stream) cut(*Conn)  { _ = s.nc.SetDeadline(past) }

type halfCloser interface{ CloseWrite() error }

func (s *stream) halfClose(*Conn) {
	if h, ok := s.nc.(halfCloser); ok {
		_ = h.CloseWrite()
	}
}

// wait blocks. It is for the goroutine that reads.
func (s *stream) wait(c *Conn, h *hold) bool {
	var timeout <-chan time.Time
	if h.most > 0 {
		t := time.NewTimer(h.most)
		defer t.Stop()
		timeout = t.C
	}
	h.gate = make(chan struct{})
	c.mu.Lock()
	if h.done() {
		c.mu.Unlock()
		return true
	}
	c.held = h
	c.mu.Unlock()
	select {
	case <-h.gate:
	case <-timeout:
		c.mu.Lock()
		if c.held == h {
			c.held = nil
		}
		c.mu.Unlock()
	}
	return true
}

func (s *stream) resume(_ *Conn, h *hold) { close(h.gate) }

// read is the connection's goroutine, from the first answer to the end.
func (s *stream) read(c *Conn) {
	defer c.srv.gone()
	src := s.source(c)
	if c.stage == greeting && !s.greet(c, src) {
		return
	}
	if c.stage == live {
		c.conclude(s.deliver(c, src))
		t := takeTurn(c)
		c.tell(t)
		t.release()
	}
	s.linger(c, src)
	s.shut(c)
}

// greet reads the request and answers it; false where somebody else does.
func (s *stream) greet(c *Conn, src *source) bool {
	for c.stage == greeting {
		t, b, err := src.next()
		if err != nil {
			c.mute()
			break
		}
		head, foreign := c.greet(t, b)
		t.release()
		if foreign {
			c.srv.leave(c)
			c.mu.Lock()
			c.flags |= isDead // and so none of our time limits holds for it
			c.mu.Unlock()
			c.front.other(&handed{Conn: s.nc, early: head, from: s.nc.RemoteAddr()})
			return false
		}
	}
	return true
}

// deliver hands on what comes until the connection is over or nothing comes any more.
func (s *stream) deliver(c *Conn, src *source) error {
	if first := c.unkeep(); len(first) > 0 {
		t := takeTurn(c)
		c.consume(t, first)
		t.release()
	}
	for !c.over.Load() {
		c.heard.Store(c.srv.now.Load())
		t, b, err := src.next()
		c.heard.Store(0)
		if err != nil {
			return err
		}
		c.srv.count.bytesIn.Add(uint64(len(b)))
		if src.waited && c.rate != nil {
			c.rate.rest(c)
		}
		c.consume(t, b)
		t.release()
	}
	return nil
}

// linger discards what comes until the peer has ended its side and all is sent:
// closing a socket with something unread in it would destroy what was sent last.
func (s *stream) linger(c *Conn, src *source) {
	c.mu.Lock()
	if c.flags&isDead == 0 {
		_ = s.nc.SetReadDeadline(time.Time{})
	}
	_, half := s.nc.(halfCloser)
	discard := half || !c.end.peer // who cannot see our end waits for us to close
	c.mu.Unlock()
	for discard {
		t, _, err := src.next()
		if err != nil {
			break
		}
		t.release()
	}
	c.emptied()
}

// shut closes the descriptor. Only the reader does.
func (s *stream) shut(c *Conn) {
	c.srv.leave(c)
	c.mu.Lock()
	dead := c.flags&isDead != 0
	c.flags |= isDead
	c.mu.Unlock()
	if inner, ok := s.nc.(interface{ NetConn() net.Conn }); ok && dead {
		_ = inner.NetConn().Close() // without the TLS farewell, which could wait for the peer
	}
	_ = s.nc.Close()
}

// source is where a stream's bytes come from.
type source struct {
	c      *Conn
	s      *stream
	buf    []byte                // of a stream that is not a socket
	once   func(fd uintptr) bool // one read without waiting
	t      *Turn
	n      int
	err    error
	waited bool // nothing was there at first
}

func (s *stream) source(c *Conn) *source {
	src := &source{c: c, s: s}
	if s.raw == nil {
		src.buf = make([]byte, ownBuffer)
		return src
	}
	src.once = func(fd uintptr) bool {
		t := takeTurn(c)
		n, err := sysRead(fd, t.buf[:])
		if err == syscall.EAGAIN { //nolint:errorlint // it comes right from the kernel
			t.release() // nobody holds a buffer while waiting
			src.waited = true
			return false
		}
		src.t, src.n, src.err = t, n, err
		return true
	}
	return src
}

// next waits for bytes. They lie in the Turn, which the caller releases, or in
// the source's own buffer.
func (s *source) next() (*Turn, []byte, error) {
	if s.buf != nil {
		return s.nextOfStream()
	}
	s.waited = false
	if err := s.s.raw.Read(s.once); err != nil {
		return nil, nil, err
	}
	t, n, err := s.t, s.n, s.err
	s.t = nil
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		t.release()
		return nil, nil, err
	}
	return t, t.buf[:n], nil
}

func (s *source) nextOfStream() (*Turn, []byte, error) {
	for {
		began := time.Now()
		n, err := s.s.nc.Read(s.buf)
		if n > 0 {
			s.waited = time.Since(began) > time.Millisecond // as near as one can see from here
			return takeTurn(s.c), s.buf[:n], nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
}

// attempt is one try to write without waiting. The callback is made once for
// each of them, which are few, and not for each Send.
type attempt struct {
	fn  func(fd uintptr) bool
	p   []byte
	n   int
	err error
}

var attempts = sync.Pool{New: func() any {
	a := new(attempt)
	a.fn = func(fd uintptr) bool {
		a.n, a.err = sysWrite(fd, a.p)
		return true
	}
	return a
}}

func (s *stream) try(c *Conn, p []byte) (int, error) {
	if s.raw == nil || c.flags&isDead != 0 {
		return 0, nil
	}
	a := attempts.Get().(*attempt)
	a.p, a.n, a.err = p, 0, nil
	err := s.raw.Write(a.fn)
	n := a.n
	if err == nil {
		err = a.err
	}
	a.p = nil
	attempts.Put(a)
	if errors.Is(err, syscall.EAGAIN) {
		err = nil
	}
	return n, err
}

// drain starts the temporary writer. It is counted here, where the reader cannot
// have gone.
func (s *stream) drain(c *Conn) {
	c.srv.wg.Add(1)
	go s.write(c)
}

// write sends the backlog until nothing waits.
func (s *stream) write(c *Conn) {
	defer c.srv.wg.Done()
	some := s.writer(c)
	for !c.advanced(some()) {
	}
}

// writer returns a function that waits until something of the backlog was taken.
func (s *stream) writer(c *Conn) func() error {
	if s.raw == nil {
		return s.chunkWriter(c)
	}
	var failed error
	once := func(fd uintptr) bool {
		buf := joined.Get().(*[joinUpTo]byte)
		defer joined.Put(buf)
		c.mu.Lock()
		defer c.mu.Unlock()
		n, err := sysWrite(fd, c.back.next(joinUpTo, buf[:0]))
		if err == syscall.EAGAIN { //nolint:errorlint // it comes right from the kernel
			return false
		}
		failed = err
		c.progress(n)
		return true
	}
	return func() error {
		if c.Queued() == 0 {
			return nil
		}
		if err := s.raw.Write(once); err != nil {
			return err
		}
		return failed
	}
}

// streamChunk is what a stream that is not a socket is given at a time, and so
// the step in which its progress is seen: one TLS record.
const streamChunk = 16 << 10

// chunkWriter is writer for what is not a socket, and blocks in Write.
func (s *stream) chunkWriter(c *Conn) func() error {
	return func() error {
		c.mu.Lock()
		b := c.back
		chunk := b.next(streamChunk, nil)
		b.busy = len(chunk)
		c.mu.Unlock()
		if len(chunk) == 0 {
			return nil
		}
		n, err := s.nc.Write(chunk)
		c.mu.Lock()
		b.busy = 0
		c.progress(n)
		c.mu.Unlock()
		return err
	}
}
