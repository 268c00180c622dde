package ws

// owe notes that something was sent which the peer is to prove to have. The
// first such puts the connection into the walker's list, the others are free.
// Needs mu.
func (c *Conn) owe() uint8 {
	if c.flags&isOwed != 0 || c.srv.opt.ProveAfter <= 0 {
		return 0
	}
	if c.flags&isOpen == 0 { // whether it is to is not known yet: see reckon
		c.flags |= isOwed
		return 0
	}
	if !c.lim.Prove {
		return 0
	}
	c.flags |= isOwed
	return c.watch()
}

// reckon is owe for what was sent before the connection was open. Needs mu.
func (c *Conn) reckon() uint8 {
	if c.flags&isOwed == 0 {
		return 0
	}
	c.flags &^= isOwed
	return c.owe()
}

// owed says whether a ping is to follow what was sent, once. It waits until the
// socket took it all: a slow connection gets no more to take.
func (c *Conn) owed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&isOwed == 0 || c.back != nil || c.end != nil {
		return false
	}
	c.flags &^= isOwed
	return true
}
