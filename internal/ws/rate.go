package ws

import (
	"fmt"
	"time"
)

// bucket is how many frames a peer may send: Limits.Burst of tokens, filled
// again at Limits.Rate. It is owned by the reader, and looks at the clock only
// when it is empty.
type bucket struct {
	tokens float64
	at     int64 // when it was filled last
	over   int64 // since when the peer has been ahead of its rate; 0 is not
}

func (b *bucket) fill(l *Limits, now int64) {
	b.tokens = min(float64(l.Burst), b.tokens+float64(now-b.at)/1e9*l.Rate)
	b.at = now
}

// rest notes that the reader had to wait for the peer: it is not ahead if it has
// something left.
func (b *bucket) rest(c *Conn) {
	if b.over == 0 {
		return
	}
	if b.fill(c.lim, c.srv.clock()); b.tokens >= 1 {
		b.over = 0
	}
}

// mayspend tells whether the peer may send a frame now. If not, the Turn has to
// rest before; or the peer was ahead for too long, and it is over.
func (c *Conn) mayspend(t *Turn) bool {
	l := c.lim
	if l.Burst <= 0 || l.Rate <= 0 {
		return true
	}
	b := c.rate
	if b == nil {
		b = &bucket{tokens: float64(l.Burst), at: c.srv.clock()}
		c.rate = b
	}
	if b.tokens >= 1 {
		return true
	}
	now := c.srv.clock()
	if b.fill(l, now); b.tokens >= 1 {
		return true
	}
	if b.over == 0 {
		b.over = now
	}
	if abuse := c.srv.opt.AbuseAfter; abuse > 0 && now-b.over >= int64(abuse) {
		again := max(1000, int64(float64(l.Burst)/l.Rate*1000))
		c.fail(t, CodeTooMany, fmt.Sprintf("retry-after-ms=%d", again))
		return false
	}
	// A few milliseconds' worth at a time: timers are dear.
	want := max(1, min(float64(l.Burst), l.Rate/200))
	t.paused, t.rest = true, time.Duration((want-b.tokens)/l.Rate*1e9)+time.Microsecond
	return false
}

// spend takes the token for a frame.
func (c *Conn) spend() {
	if c.rate != nil {
		c.rate.tokens--
	}
}
