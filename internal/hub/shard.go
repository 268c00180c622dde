package hub

import (
	"context"
	"errors"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// The bounds of one delivery: how many sessions are sent to before other
// topics have their turn, and how much is joined into one write.
const (
	sliceSessions = 256
	jobMessages   = 128
	jobBytes      = 64 << 10

	maxPending = 4096 // messages of a topic that wait for their delivery; more are read from the log when their turn comes
	maxLent    = 8    // buffers that a shard keeps for the next jobs
)

// shard is one goroutine that owns some of the topics.
type shard struct {
	hub *Hub // static
	box *mailbox

	// owned by run
	topics map[string]*topic
	active []*topic // those with something to deliver
	spare  []item
	frames [][]byte // reused for sessions that get less than their group
	lent   []buffers
}

func newShard(h *Hub) *shard {
	return &shard{hub: h, box: newMailbox(h.o.Queue), topics: map[string]*topic{}}
}

// run drains the mailbox, then gives each topic that has something to deliver
// a slice, and looks into the mailbox again.
func (sh *shard) run(ctx context.Context) {
	for {
		if len(sh.active) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-sh.box.wake:
			}
		} else if ctx.Err() != nil {
			return
		}
		items, behind := sh.box.take(sh.spare)
		for i := range items {
			if c := items[i].command; c != nil {
				c(sh)
			} else {
				sh.hear(&items[i])
			}
			items[i] = item{}
		}
		sh.spare = items
		for name, seq := range behind {
			if t := sh.topics[name]; t != nil {
				t.miss(seq)
			}
		}
		sh.deliver()
	}
}

// hear takes a message of a topic that somebody may hear.
func (sh *shard) hear(it *item) {
	t, heard := sh.topics[it.topic], 0
	switch {
	case t == nil:
	case it.seq > 0:
		t.hear(it.message, it.seq)
	default:
		heard = t.tell(it.message, it.then != nil)
	}
	if it.then != nil {
		it.then(heard)
	}
}

// borrow gives a job its buffers, lend takes them back.
func (sh *shard) borrow() (b buffers) {
	if n := len(sh.lent); n > 0 {
		b, sh.lent = sh.lent[n-1], sh.lent[:n-1]
	}
	return b
}

func (sh *shard) lend(b buffers) {
	if len(sh.lent) < maxLent && cap(b.joined) <= 4*jobBytes {
		sh.lent = append(sh.lent, b)
	}
}

// deliver gives each active topic one slice.
func (sh *shard) deliver() {
	still := sh.active[:0]
	for _, t := range sh.active {
		if t.slice() {
			still = append(still, t)
		} else {
			t.active = false
			sh.drop(t)
		}
	}
	clear(sh.active[len(still):])
	sh.active = still
}

// drop forgets a topic that nobody hears.
func (sh *shard) drop(t *topic) {
	if t.size() == 0 && !t.active && !t.behind && t.holds == 0 && !t.occupied {
		t.stop()
		delete(sh.topics, t.name)
	}
}

// hold hears of a topic for somebody who is about to join it.
func (sh *shard) hold(name string) {
	t := sh.topics[name]
	if t == nil {
		t = &topic{shard: sh, name: name}
		sh.topics[name] = t
	}
	t.holds++
}

// release is hold's end.
func (sh *shard) release(name string) {
	t := sh.topics[name]
	t.holds--
	sh.drop(t)
}

// subscribe adds a session that begins at its position, and ends its hold;
// head is where the log stood after the hold began.
func (sh *shard) subscribe(s *Session, head uint64) {
	defer sh.release(s.Topic)
	t := sh.topics[s.Topic]
	if !t.known {
		t.head, t.known = head, true
	}
	t.miss(head)
	if s.closed.Load() {
		return
	}
	t.join(s)
	if s.pos.Load() >= t.head {
		t.goLive(s)
	} else {
		sh.hub.read(s)
	}
}

func (sh *shard) unsubscribe(s *Session) {
	t := sh.topics[s.Topic]
	if t == nil {
		return
	}
	t.leave(s)
	sh.drop(t)
}

// arrive takes a session that has read to its position: it is live now, or
// there is more to read.
func (sh *shard) arrive(s *Session) {
	t := sh.topics[s.Topic]
	if t == nil || s.closed.Load() {
		return
	}
	pos := s.pos.Load()
	t.miss(pos)
	if pos < t.head {
		sh.hub.read(s)
		return
	}
	if s.slow.Load() && s.Presence && t.people != nil {
		if !s.tell(event("presence.here", t.people.here())) { // it heard of no change meanwhile
			s.wait()
			return
		}
	}
	s.slow.Store(false)
	sh.hub.counts.resumed.Add(1)
	t.goLive(s)
}

// skip lets a session that was too slow lose what it missed, and tells it how
// much that was.
func (sh *shard) skip(s *Session) {
	t := sh.topics[s.Topic]
	if t == nil || s.closed.Load() {
		return
	}
	if lost := t.head - min(s.pos.Load(), t.head); lost > 0 {
		if !s.tell(event("session.skipped", Skipped{lost})) {
			s.wait()
			return
		}
		sh.hub.counts.skipped.Add(int64(lost))
		s.pos.Store(t.head)
	}
	s.slow.Store(false)
	t.goLive(s)
}

var errHole = errors.New("the log lacks what it gave a number")

// fetched brings what was missed.
func (sh *shard) fetched(name string, ms []*journal.Message, err error) {
	t := sh.topics[name]
	if t == nil {
		return
	}
	t.behind = false
	if err == nil && len(ms) == 0 && t.missed > t.head {
		err = errHole
	}
	if err != nil { // as long as it is so, it is tried again: there is no other way to go on
		sh.hub.o.Log.Error("a topic cannot catch up", "topic", name, "after", t.head, "error", err)
		t.behind = true
		after := t.head
		time.AfterFunc(time.Second, func() { sh.hub.fetch(sh, name, after) })
		return
	}
	for _, m := range ms {
		t.hear(m, m.Seq(name))
	}
	t.miss(t.missed)
	sh.drop(t)
}
