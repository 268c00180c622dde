package ws

import (
	"slices"
	"time"
)

// tick is how often the walker looks: an eighth of the shortest time it keeps,
// and often enough for what is to be proved.
func (o *Options) tick() time.Duration {
	shortest := 8 * time.Second
	for _, d := range []time.Duration{o.PingEvery, o.DeadAfter, o.WriteStall, o.CloseTimeout, o.HandshakeTimeout} {
		if d > 0 {
			shortest = min(shortest, d)
		}
	}
	shortest /= 8
	if o.ProveAfter > 0 {
		shortest = min(shortest, o.ProveAfter)
	}
	return max(shortest, 5*time.Millisecond)
}

// walk is the only goroutine that keeps time: at each tick it pings its part of
// the table, so that all get their turn in PingEvery, and looks at those few
// connections that have something due.
func (s *Server) walk(done chan<- struct{}) {
	defer close(done)
	t := time.NewTicker(s.tick)
	defer t.Stop()
	parts := 1
	if s.opt.PingEvery > 0 {
		parts = max(1, int(s.opt.PingEvery/s.tick))
	} else if s.opt.DeadAfter > 0 {
		parts = max(1, int(s.opt.DeadAfter/2/s.tick))
	}
	var turn, list []*Conn
	var buf []byte
	var proved int64
	for i := parts - 1; ; i = (i + parts - 1) % parts { // backwards: who came first to a new server is pinged last
		select {
		case <-s.stop:
			return
		case <-t.C:
		}
		now := s.clock()
		s.now.Store(now)
		s.polled().check()
		turn, list = s.look(turn[:0], list, i, parts)
		for _, c := range turn {
			c.mind(now)
			if s.opt.PingEvery > 0 {
				buf = c.ping(buf[:0])
			}
		}
		clear(turn)
		if after := s.opt.ProveAfter; after > 0 && now-proved >= int64(after) {
			proved = now
			for _, c := range list {
				if c.owed() {
					buf = c.ping(buf[:0])
				}
			}
		}
		list = slices.DeleteFunc(list, func(c *Conn) bool { return !c.due(now) })
	}
}

// polled is the poller, nil for none.
func (s *Server) polled() *poller {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.poller
}

// look collects the i-th of the parts of the table, and who is new in the list.
func (s *Server) look(turn, list []*Conn, i, parts int) ([]*Conn, []*Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := int(s.slots); i < n; i += parts {
		if c := s.table.get(int32(i)); c != nil {
			turn = append(turn, c)
		}
	}
	list = append(list, s.watched...)
	clear(s.watched)
	s.watched = s.watched[:0]
	return turn, list
}

// silence is for how long the peer has said nothing while we listened.
func (c *Conn) silence(now int64) time.Duration {
	heard := c.heard.Load()
	if heard == 0 || c.srv.opt.DeadAfter <= 0 {
		return 0
	}
	return time.Duration(now - heard)
}

// mind has a connection looked at more often that would be dead before its next turn.
func (c *Conn) mind(now int64) {
	if silence := c.silence(now); silence > 0 && silence+max(c.srv.opt.PingEvery, c.srv.opt.DeadAfter/2) > c.srv.opt.DeadAfter {
		c.mu.Lock()
		todo := c.watch()
		c.mu.Unlock()
		c.do(todo)
	}
}

// watch puts a connection into the walker's list.
func (s *Server) watch(c *Conn) {
	s.mu.Lock()
	s.watched = append(s.watched, c)
	s.mu.Unlock()
}

// due does what is due, and tells whether more may be.
func (c *Conn) due(now int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	silence := c.silence(now)
	switch {
	case c.flags&isDead != 0:
		return false
	case c.flags&isNew != 0:
		if time.Duration(now-c.heard.Load()) > c.srv.opt.HandshakeTimeout {
			c.kill()
		}
		return true
	case c.back != nil && c.back.due != 0 && now > c.back.due:
		if c.end == nil {
			c.stall()
		} else {
			c.kill()
		}
	case c.back == nil && c.end != nil && now > c.end.due:
		c.kill()
	case silence > 0 && silence > c.srv.opt.DeadAfter:
		c.kill()
	}
	if c.back != nil || c.end != nil || c.flags&isOwed != 0 || silence > max(c.srv.opt.PingEvery, 0) {
		return true
	}
	c.flags &^= isWatched
	return false
}

// stall ends a connection whose socket takes nothing. What waits is forgotten
// but for the rest of the frame that is begun, so that a peer that comes to
// itself in CloseTimeout still learns why. Needs mu.
func (c *Conn) stall() {
	c.srv.count.stalls.Add(1)
	const why = "too slow, no progress"
	due := c.srv.clock() + int64(c.srv.opt.CloseTimeout)
	c.back.cut()
	c.back.copy(AppendClose(nil, c.srv.opt.StallCode, why))
	c.back.due = due
	c.end = &ending{code: c.srv.opt.StallCode, reason: why, due: due}
	c.stopReading()
}

// ping sends a ping with the handler's payload. It leaves behind all that waits,
// so its pong tells that the peer has it.
func (c *Conn) ping(buf []byte) []byte {
	c.mu.Lock()
	ok := c.call()
	c.mu.Unlock()
	if !ok {
		return buf
	}
	buf = append(buf, 0x80|opPing, 0)
	p := c.onPing(buf)
	if len(p) < 2 { // it panicked, or gave back something else than dst
		p = buf
	}
	p = p[:min(len(p), 2+maxControl)]
	p[0], p[1] = 0x80|opPing, byte(len(p)-2)
	c.push(p, 0)
	c.srv.count.pings.Add(1)
	return p
}
