package ws

import (
	"errors"
	"io"
	"unicode/utf8"
)

// firstMessage is what half a message is given at first.
const firstMessage = 1 << 10

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

	kept []byte // what came and waits to be looked at
}

// stage is how far a connection has come.
type stage uint8

const (
	greeting  stage = iota // no whole request yet
	live                   // what comes is delivered
	closing                // it is over; the handler is to be told
	lingering              // what comes is discarded
	ended                  // nothing comes any more; what waits is still sent
)

// greet takes what came of the request. Once that is whole, it is answered, and
// c.stage moves on; or it is no WebSocket's, and foreign, with all that came.
func (c *Conn) greet(t *Turn, b []byte) (came []byte, foreign bool) {
	kept := c.unkeep()
	if kept != nil {
		kept = append(kept, b...)
		b = kept
	}
	r, n, upgrade, refusal := parseHead(b)
	if refusal == nil && n == 0 {
		if kept == nil {
			kept = append(kept, b...)
		}
		c.half().kept = kept
		return nil, false
	}
	c.srv.spoke(c)
	switch {
	case refusal == nil && !upgrade && c.front.other == nil:
		refusal = upgradeRequired("nothing but WebSockets is served here")
	case refusal == nil && !upgrade:
		return append([]byte(nil), b...), true
	}
	c.mu.Lock()
	c.flags &^= isNew
	c.heard.Store(0)
	c.back = new(backlog)
	c.mu.Unlock()
	if refusal != nil {
		c.refuse(refusal.append(nil, "GET"))
		return nil, false
	}
	if n < len(b) {
		c.half().kept = append([]byte(nil), b[n:]...)
		c.srv.count.bytesIn.Add(uint64(len(b) - n))
	}
	r.turn = t
	c.answerTo(r, c.front.accept)
	r.turn = nil
	c.front = nil
	return nil, false
}

// unkeep is what was kept of an earlier read, nil for nothing.
func (c *Conn) unkeep() []byte {
	p := c.part
	if p == nil || p.kept == nil {
		return nil
	}
	kept := p.kept
	p.kept = nil
	c.tidy()
	return kept
}

// mute ends a connection that never said anything whole.
func (c *Conn) mute() {
	c.srv.spoke(c)
	c.mu.Lock()
	c.end = &ending{code: CodeAbnormal, peer: true}
	c.kill()
	c.mu.Unlock()
	c.part, c.front = nil, nil
	c.stage = lingering
}

// consume handles what came with one read; false at a pause, when what is left
// of it is kept, and the connection may be somebody else's already.
func (c *Conn) consume(t *Turn, b []byte) bool {
	for {
		c.pending.Add(1) // before it asks: a server that stops waits for what it does not stop
		if !c.srv.quits() {
			b = c.feed(t, b)
		}
		if len(b) > 0 && !c.over.Load() {
			c.half().kept = append([]byte(nil), b...)
		}
		if !c.settle(t) {
			return false
		}
		if b = c.unkeep(); len(b) == 0 {
			return true
		}
	}
}

// conclude decides the end, if nobody has.
func (c *Conn) conclude(err error) {
	c.mu.Lock()
	c.over.Store(true)
	if c.end == nil {
		c.end = &ending{code: CodeAbnormal, due: c.srv.clock() + int64(c.srv.opt.CloseTimeout)}
		if err != nil && !errors.Is(err, io.EOF) {
			c.broken()
		}
		if c.back != nil { // to a peer that ended only its own side
			c.back.due = c.srv.clock() + int64(c.srv.opt.WriteStall)
		}
	}
	todo := c.watch()
	c.mu.Unlock()
	c.do(todo)
	c.stage = closing
}

// tell tells the handler of the end, once nobody calls it any more; false at a
// pause.
func (c *Conn) tell(t *Turn) bool {
	c.mu.Lock()
	alone := c.users == 0
	c.mu.Unlock()
	if !alone && !c.sock.wait(c, &hold{done: func() bool { return c.users == 0 }}) {
		return false
	}
	c.mu.Lock()
	code, reason := c.end.code, c.end.reason
	c.mu.Unlock()
	c.srv.count.closed(code)
	c.onClose(t, code, reason)
	c.part, c.rate = nil, nil
	c.stage = lingering
	return true
}

// emptied waits until all is sent, or nothing will be; false at a pause.
func (c *Conn) emptied() bool {
	c.mu.Lock()
	now := c.isEmptied()
	c.mu.Unlock()
	return now || c.sock.wait(c, &hold{done: c.isEmptied})
}

func (c *Conn) isEmptied() bool { return c.back == nil || c.flags&isDead != 0 }

// feed parses b. What is whole in b is handled where it lies; rest is what must
// wait until the Turn is settled.
func (c *Conn) feed(t *Turn, b []byte) (rest []byte) {
	for len(b) > 0 && !c.over.Load() && !t.paused {
		p := c.part
		if p != nil && p.inFrame {
			b = c.payload(t, p, b)
			continue
		}
		if !c.mayspend(t) {
			return b
		}
		h, n, ok := c.header(b)
		if !ok || n > 0 && !h.follows(p != nil && p.kind != 0) {
			c.fail(t, CodeProtocol, "protocol error")
			return nil
		}
		if n == 0 {
			return nil
		}
		b = b[n:]
		c.spend()
		if !h.control() && c.tooBig(&h) {
			c.fail(t, CodeTooBig, "message too big")
			return nil
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
	return b
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
	if p := c.part; p.hn == 0 && !p.inFrame && p.kind == 0 && p.kept == nil {
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
	t.paused = t.full || c.busy(1)
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
