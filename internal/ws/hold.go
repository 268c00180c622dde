package ws

import "time"

// hold is a pause in reading: until done, or over, or the time is up. What comes
// meanwhile stays in the kernel, whose window then holds the peer back.
type hold struct {
	done  func() bool   // called with mu held
	most  time.Duration // 0 is any
	gate  chan struct{} // of a goroutine that waits
	timer *time.Timer   // of a pass that is to be taken up again
}

// signal ends the pause if there is one, and no reason for it any more. Needs mu.
func (c *Conn) signal() {
	if h := c.held; h != nil && h.done() {
		c.held = nil
		c.sock.resume(c, h)
	}
}

// settle ends a pass: it lets what was replied leave, and tells whether to read
// on now: not while replies are not taken, as much work is under way as may be,
// or the peer is ahead of its rate.
func (c *Conn) settle(t *Turn) bool {
	t.flush()
	c.pending.Add(-1)
	full, most := t.full, t.rest
	t.full, t.paused, t.rest = false, false, 0
	switch {
	case full || c.busy(0):
		return c.sock.wait(c, &hold{done: func() bool { return c.over.Load() || (!full || c.low()) && !c.busy(0) }})
	case most > 0:
		return c.sock.wait(c, &hold{most: most, done: c.over.Load})
	}
	return true
}

// busy tells whether as much work is under way as may be, beside the pass that
// asks, which is 1, or none; or answers wait that the peer does not take. A server
// that stops begins nothing new.
func (c *Conn) busy(pass int) bool {
	under := int(c.pending.Load()) - pass
	return c.srv.quits() || under >= unread || c.lim.Pending > 0 && under >= c.lim.Pending
}
