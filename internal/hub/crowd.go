package hub

import (
	"sync"
	"sync/atomic"
)

// A group of that many sessions is sent to by all shards at once, in so many
// pieces at least. Asking another shard costs about what two sends cost.
const (
	crowdSessions = 1024
	crowdPieces   = 16
)

// crowd is one job on its way to a large group: whichever shard has time takes
// the next piece. The topic stays its own shard's, which goes on with others
// when there is no piece left to take; what this one waits for is the pieces
// under way elsewhere.
type crowd struct {
	// static, while there are pieces
	topic    *topic
	delivery *delivery
	group    *group
	entries  []entry

	next atomic.Int64 // the entry at which the next piece begins
	left atomic.Int64 // how many entries are not sent to

	mu      sync.Mutex
	refused []*Session // guarded by mu
}

// crowded says that a group is worth more than one shard.
func (t *topic) crowded(g *group) bool {
	return len(g.entries) >= t.shard.hub.crowd && len(t.shard.hub.shards) > 1
}

// call asks the other shards to help with a group.
func (t *topic) call(g *group) {
	c := &crowd{topic: t, delivery: t.delivery, group: g, entries: g.entries}
	c.left.Store(int64(len(c.entries)))
	t.delivery.crowd = c
	for _, sh := range t.shard.hub.shards {
		if sh != t.shard {
			sh.box.put(item{op: opDo, command: c.help})
		}
	}
}

// help is a shard's turn at it.
func (c *crowd) help(sh *shard) {
	more, last := c.work(sh, sliceSessions)
	if more {
		sh.box.put(item{op: opDo, command: c.help})
	}
	if last {
		c.topic.shard.box.put(item{op: opDo, command: func(*shard) {
			c.topic.gather()
			c.topic.activate()
		}})
	}
}

// work sends pieces as long as there are any and the budget lasts: more says
// that there are, last that this was the last one that anybody worked at.
func (c *crowd) work(sh *shard, budget int) (more, last bool) {
	size := max(1, sh.hub.crowd/crowdPieces)
	for ; budget > 0; budget -= size {
		start := int(c.next.Add(int64(size))) - size
		if start >= len(c.entries) {
			return false, false
		}
		piece := c.entries[start:min(start+size, len(c.entries))]
		for i := range piece {
			if e := &piece[i]; e.session != nil && !c.delivery.send(sh, e) {
				c.mu.Lock()
				c.refused = append(c.refused, e.session)
				c.mu.Unlock()
			}
		}
		sh.hub.counts.deliveries.Add(int64(len(piece) * len(c.delivery.messages)))
		if c.left.Add(-int64(len(piece))) == 0 {
			return false, true
		}
	}
	return c.next.Load() < int64(len(c.entries)), false
}

// gather ends what a crowd was sent.
func (t *topic) gather() {
	d := t.delivery
	c := d.crowd
	d.crowd = nil
	for _, h := range d.holes {
		if h.group == c.group {
			c.group.entries[h.index] = entry{}
		}
	}
	for _, s := range c.refused {
		if s.index != gone {
			t.fallBack(c.group, s)
		}
	}
	t.pass(c.group)
}
