package hub

import (
	"context"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// The bounds of one delivery: how many sessions are sent to before other
// topics have their turn, and how much is joined into one write.
const (
	sliceSessions = 256
	jobMessages   = 128
	jobBytes      = 64 << 10
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
			} else if t := sh.topics[items[i].topic]; t != nil {
				t.hear(items[i].message, items[i].seq)
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
	if t.size() == 0 && !t.active && !t.behind {
		t.stop()
		delete(sh.topics, t.name)
	}
}

// subscribe adds a session that begins at its position; head is where the log
// stood before.
func (sh *shard) subscribe(s *Session, head uint64) {
	if s.closed.Load() {
		return
	}
	t := sh.topics[s.Topic]
	if t == nil {
		t = &topic{shard: sh, name: s.Topic, head: head}
		sh.topics[s.Topic] = t
	}
	t.miss(head)
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
		if frame := s.Format.Append(nil, event("session.skipped", Skipped{lost}), 0); len(frame) > 0 && !s.Conn.Send(frame) {
			s.wait()
			return
		}
		sh.hub.counts.skipped.Add(int64(lost))
		s.pos.Store(t.head)
	}
	s.slow.Store(false)
	t.goLive(s)
}

// fetched brings what was missed. A page that failed is tried again: there is
// no other way to go on.
func (sh *shard) fetched(name string, ms []*journal.Message, err error) {
	t := sh.topics[name]
	if t == nil {
		return
	}
	t.behind = false
	if err != nil {
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
