package ws

import "sync"

const (
	// joinUpTo is how much is copied together to leave in one write.
	joinUpTo = 64 << 10
	// openQueue bounds what may be sent before the handshake is answered, when
	// the limits are not known yet.
	openQueue = 1 << 20
	// replyBacklog is where replies hold back reading if Limits.Queue is off: a
	// peer that asks and never listens.
	replyBacklog = 1 << 20
)

// backlog is what the socket did not take yet: whole frames, the first of them
// perhaps begun.
type backlog struct {
	buf  []byte
	off  int    // before it all is sent
	mark int    // a place in buf where a frame begins, or will
	busy int    // bytes from off that a write under way has in hand
	due  int64  // when no progress becomes a stall; 0 before the handshake's answer
	ping []byte // the latest ping that came while the queue was full; nil is none
}

func (b *backlog) waiting() int {
	if b == nil {
		return 0
	}
	return len(b.buf) - b.off
}

// add copies p behind what waits.
func (b *backlog) add(p []byte) {
	if b.off > 0 && len(b.buf)+len(p) > cap(b.buf) && b.off >= len(b.buf)/2 {
		b.edge()
		n := copy(b.buf, b.buf[b.off:])
		b.buf, b.mark, b.off = b.buf[:n], b.mark-b.off, 0
	}
	if need := len(b.buf) + len(p); need > cap(b.buf) { // by doubling: what is outgrown is garbage, and much of it where many are slow at once
		b.buf = append(make([]byte, 0, max(2*cap(b.buf), need)), b.buf...)
	}
	b.buf = append(b.buf, p...)
}

// edge moves mark to the end of the frame that is being sent, and returns it.
func (b *backlog) edge() int {
	for b.mark < b.off+b.busy {
		b.mark += frameLen(b.buf[b.mark:])
	}
	return b.mark
}

// sent notes that the socket took n bytes.
func (b *backlog) sent(n int) {
	b.off += n
	if b.off == len(b.buf) {
		b.buf, b.off, b.mark = b.buf[:0], 0, 0
	}
}

// cut forgets all frames that are not begun, and lets go of their memory.
func (b *backlog) cut() {
	edge := b.edge()
	b.buf = append([]byte(nil), b.buf[b.off:edge]...)
	b.off, b.mark = 0, len(b.buf)
}

// Send sends whole encoded frames (AppendFrame and its like), all or none of
// them. It never blocks, keeps no slice and changes none, so the same bytes may
// go to any number of connections. False means that they are not taken, since
// more than Limits.Queue would wait; OnDrain follows. Where nothing waits a Send
// is always taken. A connection that is closed takes everything and drops it.
func (c *Conn) Send(frames ...[]byte) bool {
	total := 0
	for _, f := range frames {
		total += len(f)
	}
	if total == 0 {
		return true
	}
	c.mu.Lock()
	if c.end != nil || c.flags&isDead != 0 {
		c.mu.Unlock()
		return true
	}
	if limit := c.limit(); limit > 0 && c.back.waiting() > 0 && c.back.waiting()+total > limit {
		c.flags |= isRefused
		c.mu.Unlock()
		c.srv.count.drops.Add(1)
		return false
	}
	c.srv.count.messagesOut.Add(uint64(len(frames)))
	c.srv.count.bytesOut.Add(uint64(total))
	var todo uint8
	if len(frames) == 1 {
		todo = c.put(frames[0])
	} else {
		todo = c.putAll(frames, total)
	}
	todo |= c.owe()
	c.mu.Unlock()
	c.do(todo)
	return true
}

// limit is how many bytes may wait; 0 is any number. Needs mu.
func (c *Conn) limit() int {
	if c.flags&isOpen == 0 {
		return openQueue
	}
	return c.lim.Queue
}

// push is Send for what may not be refused: replies, pings. It tells whether so
// much waits that replies must stop for a while.
func (c *Conn) push(p []byte, messages int) (full bool) {
	c.mu.Lock()
	if c.end != nil || c.flags&isDead != 0 {
		c.mu.Unlock()
		return false
	}
	c.srv.count.messagesOut.Add(uint64(messages))
	c.srv.count.bytesOut.Add(uint64(len(p)))
	todo := c.put(p)
	full = c.full()
	c.mu.Unlock()
	c.do(todo)
	return full
}

// full needs mu.
func (c *Conn) full() bool {
	limit := c.limit()
	if limit <= 0 {
		limit = replyBacklog
	}
	return c.back.waiting() > limit
}

// low tells whether the queue has emptied enough for the next. Needs mu.
func (c *Conn) low() bool {
	limit := c.limit()
	if limit <= 0 {
		limit = replyBacklog
	}
	return c.back.waiting() <= limit/4
}

// put writes p, which is whole frames; what the socket does not take at once it
// copies to the backlog. Needs mu.
func (c *Conn) put(p []byte) uint8 {
	if c.back != nil {
		c.back.add(p)
		return 0
	}
	n, err := c.sock.try(c, p)
	switch {
	case err != nil:
		c.lose()
		return c.watch()
	case n < len(p):
		c.queue(p[n:], frameEdge(p, n)-n)
		return c.watch()
	case c.end != nil:
		return c.final()
	}
	return 0
}

// putAll is put for several pieces. Needs mu.
func (c *Conn) putAll(frames [][]byte, total int) uint8 {
	if c.back == nil && c.sock.joins() && total <= joinUpTo {
		b := joined.Get().(*[]byte)
		*b = (*b)[:0]
		for _, f := range frames {
			*b = append(*b, f...)
		}
		todo := c.put(*b)
		joined.Put(b)
		return todo
	}
	var todo uint8
	for _, f := range frames {
		if c.end != nil { // lost on the way
			break
		}
		todo |= c.put(f)
	}
	return todo
}

// joined are buffers in which pieces are put together for one write.
var joined = sync.Pool{New: func() any { return new([]byte) }}

// frameEdge is the end of the frame of p that n lies in.
func frameEdge(p []byte, n int) int {
	at := 0
	for at < n {
		at += frameLen(p[at:])
	}
	return at
}

// queue begins a backlog, and has it sent. Needs mu.
func (c *Conn) queue(p []byte, mark int) {
	c.back = &backlog{
		buf:  append(make([]byte, 0, max(len(p), 512)), p...),
		mark: mark,
		due:  c.srv.clock() + int64(c.srv.opt.WriteStall),
	}
	c.sock.drain(c)
}

// final notes that all is sent, the Close frame too. Needs mu.
func (c *Conn) final() uint8 {
	if c.flags&isFinal != 0 {
		return 0
	}
	c.flags |= isFinal
	c.end.due = c.srv.clock() + int64(c.srv.opt.CloseTimeout)
	c.signal()
	return todoFin
}

// advanced does what follows when some of the backlog was taken, or nothing can
// be; done is that nothing waits any more.
func (c *Conn) advanced(err error) (done bool) {
	c.mu.Lock()
	b := c.back
	if b == nil { // somebody else was at it as well
		c.mu.Unlock()
		return true
	}
	if err != nil || c.flags&isDead != 0 {
		c.lose()
		c.back = nil
		c.signal()
		todo := c.watch()
		c.mu.Unlock()
		c.do(todo)
		return true
	}
	if c.low() {
		if b.ping != nil && c.end == nil {
			b.add(AppendFrame(nil, opPong, b.ping))
			b.ping = nil
		}
		c.signal()
		if c.flags&isRefused != 0 && c.call() {
			c.flags &^= isRefused
			c.mu.Unlock()
			c.onDrain()
			return false
		}
	}
	if b.waiting() > 0 {
		c.mu.Unlock()
		return false
	}
	c.back = nil
	c.signal()
	var todo uint8
	if c.end != nil {
		todo = c.final()
	}
	c.mu.Unlock()
	c.do(todo)
	return true
}

// progress notes that n bytes of the backlog were taken. Needs mu.
func (c *Conn) progress(n int) {
	if n <= 0 {
		return
	}
	c.back.sent(n)
	if c.end == nil {
		c.back.due = c.srv.clock() + int64(c.srv.opt.WriteStall)
	}
}
