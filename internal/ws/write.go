package ws

const (
	// openQueue bounds what may be sent before the handshake is answered, when
	// the limits are not known yet.
	openQueue = 1 << 20
	// replyBacklog is where replies hold back reading if Limits.Queue is off: a
	// peer that asks and never listens.
	replyBacklog = 1 << 20
)

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
	if over, taken := c.refuses(len(frames), total); over {
		c.mu.Unlock()
		return taken
	}
	var todo uint8
	if len(frames) == 1 {
		todo = c.put(frames[0], nil)
	} else {
		todo = c.putAll(frames, total)
	}
	todo |= c.owe()
	c.mu.Unlock()
	c.do(todo)
	return true
}

// Share is Send for what goes to many connections: where it has to wait, they
// wait with one copy. keep gives that copy, whose bytes nobody ever changes: at
// the first call it is made, from then on it is the same. It is called while
// locks are held, by any number of connections at once, and p is p until Share
// returns.
func (c *Conn) Share(p []byte, keep func() []byte) bool {
	if len(p) == 0 {
		return true
	}
	c.mu.Lock()
	if over, taken := c.refuses(1, len(p)); over {
		c.mu.Unlock()
		return taken
	}
	todo := c.put(p, keep) | c.owe()
	c.mu.Unlock()
	c.do(todo)
	return true
}

// refuses tells whether so much is not to be put: there is no room, or, where it
// counts as taken, no use. Else it is counted. Needs mu.
func (c *Conn) refuses(frames, total int) (over, taken bool) {
	if c.end != nil || c.flags&isDead != 0 {
		return true, true
	}
	if limit := c.limit(); limit > 0 && c.back.waiting() > 0 && c.back.held()+total > limit {
		c.flags |= isRefused
		c.srv.count.drops.Add(1)
		return true, false
	}
	c.srv.count.messagesOut.Add(uint64(frames))
	c.srv.count.bytesOut.Add(uint64(total))
	return false, true
}

// limit is how many bytes may wait; 0 is any number. Needs mu.
func (c *Conn) limit() int {
	if c.flags&isOpen == 0 {
		return openQueue
	}
	return c.lim.Queue
}

// Answer is Send for an answer that comes later than its Turn: like a Reply it is
// never refused. Where more than Limits.Queue waits then, no more is read from the
// peer until it has taken most of that.
func (c *Conn) Answer(frame []byte) {
	c.mu.Lock()
	todo, full := c.must(frame, 1)
	if full && c.pending.Load() < unread {
		c.pending.Add(unread)
	}
	todo |= c.owe()
	c.mu.Unlock()
	c.do(todo)
}

// unread is in Conn.pending while answers wait that the peer does not take: more
// than can ever be under way.
const unread = 1 << 24

// taken ends that. Needs mu.
func (c *Conn) taken() {
	if c.pending.Load() >= unread {
		c.pending.Add(-unread)
	}
}

// push is Send for what may not be refused: replies, pings. It tells whether so
// much waits that replies must stop for a while.
func (c *Conn) push(p []byte, messages int) (full bool) {
	c.mu.Lock()
	todo, full := c.must(p, messages)
	c.mu.Unlock()
	c.do(todo)
	return full
}

// must is push. Needs mu.
func (c *Conn) must(p []byte, messages int) (todo uint8, full bool) {
	if c.end != nil || c.flags&isDead != 0 {
		return 0, false
	}
	c.srv.count.messagesOut.Add(uint64(messages))
	c.srv.count.bytesOut.Add(uint64(len(p)))
	todo = c.put(p, nil)
	return todo, c.full()
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
	return c.back.held() <= limit/4
}

// put writes p, which is whole frames; what the socket does not take at once is
// copied to the backlog, or waits there as what keep gives. Needs mu.
func (c *Conn) put(p []byte, keep func() []byte) uint8 {
	if c.back != nil {
		c.back.add(p, keep)
		return 0
	}
	n, err := c.sock.try(c, p)
	switch {
	case err != nil:
		c.lose()
		return c.watch()
	case n < len(p):
		c.queue(begun(p, keep, n))
		return c.watch()
	case c.end != nil:
		return c.final()
	}
	return 0
}

// putAll is put for several pieces. Needs mu.
func (c *Conn) putAll(frames [][]byte, total int) uint8 {
	if c.back == nil && c.sock.joins() && total <= joinUpTo {
		a := joined.Get().(*[joinUpTo]byte)
		defer joined.Put(a)
		b := a[:0]
		for _, f := range frames {
			b = append(b, f...)
		}
		return c.put(b, nil)
	}
	var todo uint8
	for _, f := range frames {
		if c.end != nil { // lost on the way
			break
		}
		todo |= c.put(f, nil)
	}
	return todo
}

// queue has a backlog sent, which is the first. Needs mu.
func (c *Conn) queue(b *backlog) {
	b.due = c.srv.clock() + int64(c.srv.opt.WriteStall)
	c.back = b
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
		c.taken()
		c.signal()
		todo := c.watch()
		c.mu.Unlock()
		c.do(todo)
		return true
	}
	if c.low() {
		if b.ping != nil && c.end == nil {
			b.copy(AppendFrame(nil, opPong, b.ping))
			b.ping = nil
		}
		c.taken()
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
