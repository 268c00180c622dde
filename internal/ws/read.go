package ws

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
	"unicode/utf8"
)

const (
	// ownBuffer is what a stream that is not a socket reads into: it must have
	// a buffer before it knows that something is there.
	ownBuffer = 1 << 10
	// firstMessage is what half a message is given at first.
	firstMessage = 1 << 10
)

// partial is what a read ended in the middle of: a header, a frame, a message.
type partial struct {
	hdr [maxHeader]byte // the first hn bytes of a header
	hn  int

	inFrame bool   // head's payload is coming
	head    header // its key is turned as far as it came
	left    uint64 // of its payload
	control []byte // its payload, if it is a control frame

	kind    Kind   // the message begun; 0 is none
	message []byte // what came of it
	utf8    utf8Check
}

// run is the connection's goroutine, from the answer to the end.
func (c *Conn) run(first []byte) {
	defer c.srv.leave(c)
	src := c.source()
	if c.h != nil {
		err := c.read(src, first)
		c.conclude(err)
	}
	c.linger(src)
	c.shut()
}

// shut closes the descriptor. Only the reader does.
func (c *Conn) shut() {
	c.mu.Lock()
	dead := c.flags&isDead != 0
	c.flags |= isDead
	c.mu.Unlock()
	if inner, ok := c.nc.(interface{ NetConn() net.Conn }); ok && dead {
		_ = inner.NetConn().Close() // without the TLS farewell, which could wait for the peer
	}
	_ = c.nc.Close()
}

// read delivers what comes until the connection is over or nothing comes any more.
func (c *Conn) read(src *source, first []byte) error {
	if len(first) > 0 {
		c.pass(takeTurn(c), first)
	}
	for !c.over.Load() {
		c.heard.Store(c.srv.now.Load())
		t, b, err := src.next()
		c.heard.Store(0)
		if err != nil {
			return err
		}
		if src.waited && c.rate != nil {
			c.rate.rest(c)
		}
		c.pass(t, b)
	}
	return nil
}

// pass handles what came with one read.
func (c *Conn) pass(t *Turn, b []byte) {
	c.srv.count.bytesIn.Add(uint64(len(b)))
	c.feed(t, b)
	t.flush()
	full := t.full
	t.release()
	if full {
		c.rest(full)
	}
}

// conclude tells the handler, and nobody calls it any more.
func (c *Conn) conclude(err error) {
	c.mu.Lock()
	c.over.Store(true)
	if c.end == nil {
		c.end = &ending{code: CodeAbnormal, due: c.srv.clock() + int64(c.srv.opt.CloseTimeout)}
		if err != nil && !errors.Is(err, io.EOF) {
			c.kill()
		}
		if c.back != nil { // to a peer that ended only its own side
			c.back.due = c.srv.clock() + int64(c.srv.opt.WriteStall)
		}
	}
	code, reason := c.end.code, c.end.reason
	todo := c.watch()
	c.mu.Unlock()
	c.do(todo)
	c.pause(0, func() bool { return c.users == 0 })
	c.srv.count.closed(code)
	c.onClose(code, reason)
	c.part, c.rate = nil, nil
}

// linger discards what comes until the peer has ended its side and all is sent:
// closing a socket with something unread in it would destroy what was sent last.
func (c *Conn) linger(src *source) {
	c.mu.Lock()
	if c.flags&isDead == 0 {
		_ = c.nc.SetReadDeadline(time.Time{})
	}
	_, half := c.nc.(halfCloser)
	discard := half || !c.end.peer // who cannot see our end waits for us to close
	c.mu.Unlock()
	for discard {
		t, _, err := src.next()
		if err != nil {
			break
		}
		t.release()
	}
	c.pause(0, func() bool { return c.back == nil || c.flags&isDead != 0 })
}

// source is where a connection's bytes come from.
type source struct {
	c      *Conn
	buf    []byte                // of a stream that is not a socket
	once   func(fd uintptr) bool // one read without waiting
	t      *Turn
	n      int
	err    error
	waited bool // nothing was there at first
}

func (c *Conn) source() *source {
	s := &source{c: c}
	if c.raw == nil {
		s.buf = make([]byte, ownBuffer)
		return s
	}
	s.once = func(fd uintptr) bool {
		t := takeTurn(s.c)
		n, err := sysRead(fd, t.buf[:])
		if err == syscall.EAGAIN { //nolint:errorlint // it comes right from the kernel
			t.release() // nobody holds a buffer while waiting
			s.waited = true
			return false
		}
		s.t, s.n, s.err = t, n, err
		return true
	}
	return s
}

// next waits for bytes. They lie in the Turn, which the caller releases, or in
// the source's own buffer.
func (s *source) next() (*Turn, []byte, error) {
	if s.buf != nil {
		return s.nextOfStream()
	}
	s.waited = false
	if err := s.c.raw.Read(s.once); err != nil {
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
		n, err := s.c.nc.Read(s.buf)
		if n > 0 {
			s.waited = time.Since(began) > time.Millisecond // as near as one can see from here
			return takeTurn(s.c), s.buf[:n], nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
}

// feed parses b. What is whole in b is handled where it lies.
func (c *Conn) feed(t *Turn, b []byte) {
	for len(b) > 0 && !c.over.Load() {
		p := c.part
		if p != nil && p.inFrame {
			b = c.payload(t, p, b)
			continue
		}
		h, n, ok := c.header(b)
		if !ok || n > 0 && !h.follows(p != nil && p.kind != 0) {
			c.fail(t, CodeProtocol, "protocol error")
			return
		}
		if n == 0 {
			return
		}
		b = b[n:]
		if !c.spend(t) {
			return
		}
		if !h.control() && c.tooBig(&h) {
			c.fail(t, CodeTooBig, "message too big")
			return
		}
		if h.length <= uint64(len(b)) && (h.control() || h.fin && h.op != opContinuation) {
			payload := b[:h.length]
			b = b[h.length:]
			mask(payload, h.key)
			c.whole(t, &h, payload)
			continue
		}
		b = c.payload(t, c.begin(&h), b)
	}
}

// header parses a header that starts in b or before it; n is how much of b
// belongs to it, and 0 where b ended first, which is kept.
func (c *Conn) header(b []byte) (h header, n int, ok bool) {
	p := c.part
	if p == nil || p.hn == 0 {
		if h, n, ok = parseHeader(b); ok && n == 0 {
			p = c.half()
			p.hn = copy(p.hdr[:], b)
		}
		return h, n, ok
	}
	had := p.hn
	p.hn += copy(p.hdr[had:], b)
	h, n, ok = parseHeader(p.hdr[:p.hn])
	if ok && n > 0 {
		p.hn = 0
		c.tidy()
		return h, n - had, ok
	}
	return h, 0, ok
}

// half is the place for what is not whole.
func (c *Conn) half() *partial {
	if c.part == nil {
		c.part = new(partial)
	}
	return c.part
}

// tidy forgets it when it holds nothing.
func (c *Conn) tidy() {
	if p := c.part; p.hn == 0 && !p.inFrame && p.kind == 0 {
		c.part = nil
	}
}

func (c *Conn) tooBig(h *header) bool {
	limit := uint64(1) << 62
	if c.lim.MaxMessage > 0 {
		limit = uint64(c.lim.MaxMessage)
	}
	had := uint64(0)
	if c.part != nil {
		had = uint64(len(c.part.message))
	}
	return h.length > limit || had > limit-h.length
}

// begin starts a frame whose payload does not all lie in the read, or that is one
// of several.
func (c *Conn) begin(h *header) *partial {
	p := c.half()
	p.inFrame, p.head, p.left = true, *h, h.length
	if !h.control() && h.op != opContinuation {
		p.kind, p.utf8 = Kind(h.op), utf8Check{}
	}
	return p
}

// payload takes what b has of the frame begun, and returns the rest of b.
func (c *Conn) payload(t *Turn, p *partial, b []byte) []byte {
	n := int(min(p.left, uint64(len(b))))
	chunk, b := b[:n], b[n:]
	p.left -= uint64(n)
	p.head.key = mask(chunk, p.head.key)
	if p.head.control() {
		if p.control = append(p.control, chunk...); p.left == 0 {
			payload := p.control
			p.inFrame, p.control = false, nil
			c.tidy()
			c.whole(t, &p.head, payload)
		}
		return b
	}
	if p.kind == Text && !p.utf8.write(chunk) {
		c.fail(t, CodeInvalidUTF8, "invalid UTF-8")
		return nil
	}
	p.add(chunk)
	if p.left > 0 {
		return b
	}
	p.inFrame = false
	if !p.head.fin {
		return b
	}
	if !p.utf8.complete() {
		c.fail(t, CodeInvalidUTF8, "invalid UTF-8")
		return nil
	}
	k, message := p.kind, p.message
	c.part = nil
	c.deliver(t, k, message)
	return b
}

// add grows with the bytes that came, to four times of them, never with the
// length that was claimed; but not beyond that.
func (p *partial) add(chunk []byte) {
	if need := len(p.message) + len(chunk); need > cap(p.message) {
		room := max(4*need, firstMessage)
		if p.left < uint64(room-need) && p.head.fin {
			room = need + int(p.left)
		}
		p.message = append(make([]byte, 0, room), p.message...)
	}
	p.message = append(p.message, chunk...)
}

// whole handles a whole control frame, or a message in one frame.
func (c *Conn) whole(t *Turn, h *header, payload []byte) {
	switch h.op {
	case opPing:
		c.pong(t, payload)
	case opPong:
		c.onPong(payload)
	case opClose:
		c.peerCloses(t, payload)
	default:
		if h.op == opText && !utf8.Valid(payload) {
			c.fail(t, CodeInvalidUTF8, "invalid UTF-8")
			return
		}
		c.deliver(t, Kind(h.op), payload)
	}
}

func (c *Conn) deliver(t *Turn, k Kind, p []byte) {
	c.srv.count.messagesIn.Add(1)
	c.onMessage(t, k, p)
	if t.full || c.lim.Pending > 0 && int(c.pending.Load()) >= c.lim.Pending {
		c.yield(t)
	}
}

// yield waits until replies are taken again and work under way is done.
func (c *Conn) yield(t *Turn) {
	t.flush()
	full := t.full
	t.full = false
	c.rest(full)
}

// rest is yield with all replies sent.
func (c *Conn) rest(full bool) {
	c.await(0, func() bool {
		return (!full || c.low()) && (c.lim.Pending <= 0 || int(c.pending.Load()) < c.lim.Pending)
	})
}

// pong answers a ping with the replies. Where too much waits already, only the
// latest ping is answered, once there is room (RFC 6455, section 5.5.3).
func (c *Conn) pong(t *Turn, payload []byte) {
	c.mu.Lock()
	later := c.back != nil && c.full()
	if later {
		c.back.ping = append(c.back.ping[:0], payload...)
		if c.back.ping == nil {
			c.back.ping = []byte{}
		}
	} else if c.back != nil {
		c.back.ping = nil
	}
	c.mu.Unlock()
	if !later {
		t.out = AppendFrame(t.out, opPong, payload)
	}
}

// peerCloses answers the peer's Close frame with its code.
func (c *Conn) peerCloses(t *Turn, payload []byte) {
	code, reason, violation := parseClose(payload)
	if violation != 0 {
		c.fail(t, violation, "invalid close frame")
		return
	}
	t.flush()
	c.finish(&ending{code: code, reason: reason, peer: true}, AppendClose(nil, code, ""))
}

// fail ends the connection for what the peer did.
func (c *Conn) fail(t *Turn, code uint16, reason string) {
	t.flush()
	c.Close(code, reason)
}
