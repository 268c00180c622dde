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
	maxLent    = 8    // what a shard keeps for the next deliveries
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
	lent   []*delivery
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
		sh.turn()
	}
}

// turn does what is in the mailbox, and delivers a slice of each active topic.
func (sh *shard) turn() {
	items, behind := sh.box.take(sh.spare)
	for i := range items {
		sh.do(&items[i])
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

func (sh *shard) do(it *item) {
	switch {
	case it.command != nil:
		it.command(sh)
	case it.op == opHear:
		sh.hear(it)
	case it.op == opHold:
		sh.hold(it.session.Topic)
	case it.op == opRelease:
		sh.release(it.session.Topic)
	case it.op == opSubscribe:
		sh.subscribe(it.session, it.seq)
	case it.op == opUnsubscribe:
		sh.unsubscribe(it.session)
	case it.op == opArrive:
		sh.arrive(it.session)
	case it.op == opSkip:
		sh.skip(it.session)
	}
}

// hear takes a message of a topic that somebody may hear.
func (sh *shard) hear(it *item) {
	t := sh.topics[it.topic]
	switch {
	case t == nil:
	case it.seq > 0:
		t.hear(it.message, it.seq)
	default:
		t.tell(it.message, false)
	}
}

// borrow gives a topic what a delivery needs, lend takes it back.
func (sh *shard) borrow() *delivery {
	n := len(sh.lent)
	if n == 0 {
		return newDelivery()
	}
	d := sh.lent[n-1]
	sh.lent[n-1] = nil
	sh.lent = sh.lent[:n-1]
	return d
}

func (sh *shard) lend(d *delivery) {
	if len(sh.lent) >= maxLent {
		return
	}
	if cap(d.joined) > 4*jobBytes {
		d.joined = nil
	}
	if cap(d.pending) > 2*jobMessages {
		d.pending = nil
	}
	d.forget()
	clear(d.frames)
	sh.lent = append(sh.lent, d)
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
	if t.size() == 0 && !t.active && !t.behind && t.holds == 0 && !t.occupied && t.delivery == nil {
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
	if s.closed() {
		return
	}
	if s.pos.Load() >= t.head {
		t.goLive(s)
		t.joined(s)
		return
	}
	t.addLagging(s)
	s.become(reading)
	t.joined(s)
	sh.hub.read(s)
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
	if t == nil || s.closed() {
		return
	}
	pos := s.pos.Load()
	t.miss(pos)
	if handOver && pos < t.head {
		sh.hub.read(s)
		return
	}
	if t.resume(s) {
		sh.hub.counts.resumed.Add(1)
	}
}

// skip lets a session that was too slow lose what it missed, and tells it how
// much that was.
func (sh *shard) skip(s *Session) {
	t := sh.topics[s.Topic]
	if t == nil || s.closed() {
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
	if t.resume(s) && s.Inside == Own {
		s.Conn.Send() // it reads by itself
	}
}

var errHole = errors.New("the log lacks what it gave a number")

// expired goes on behind what was missed, and is not kept any more. Who was to
// hear it learns that.
func (sh *shard) expired(name string, floor uint64) {
	t := sh.topics[name]
	if t == nil {
		return
	}
	t.behind = false
	t.head = max(t.head, floor-1)
	t.each(func(s *Session, g *group) {
		switch {
		case g == nil: // it reads, and will find out
		case s.Inside == Own:
			s.Conn.Send()
		default:
			s.expired()
		}
	})
	t.miss(t.missed)
	sh.drop(t)
}

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
