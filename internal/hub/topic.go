package hub

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// topic is what a shard knows of one topic: who hears it, and what is on its
// way to them. All of it is owned by the shard. Most topics are one person's,
// so that there are about as many as there are clients: what a quiet one does
// not need is behind a pointer.
type topic struct {
	shard *shard // static
	name  string

	head     uint64 // the newest number heard of
	missed   uint64 // a number above head that is known to exist
	groups   *group // the first; the newest is
	lagging  map[*Session]struct{}
	people   *people     // nil while nobody watches
	leaving  *time.Timer // since the last session went, nil otherwise
	delivery *delivery   // what is on its way, nil in a quiet topic

	holds    int32 // how many are about to join
	live     int32 // how many sessions are; the others are lagging
	clients  int32 // how many sessions are not the server's own
	known    bool  // head is; before the first session it is not
	behind   bool  // what is missed is being fetched
	occupied bool  // as Options.Occupied was told
	active   bool  // in the shard's list of those with something to deliver
}

// group is the live sessions of one format.
type group struct {
	format  Format
	entries []entry       // all but the fresh ones; one that left during a delivery is empty
	sent    atomic.Uint64 // up to where all of them have been sent everything
	next    *group
	members int32 // the fresh ones with them
}

// entry is all that is looked at to send to a session what its group gets. They
// stand in a row, while what they point at is scattered over the memory.
type entry struct {
	conn    Conn
	session *Session
	key     uint64
}

// gone is the index of a session that has left, while its entry is still being
// read by others.
const gone = math.MinInt32

func (t *topic) size() int { return len(t.lagging) + int(t.live) }

// hear takes a message in order. A number that comes too soon shows that
// something is missing, which is then fetched.
func (t *topic) hear(m *journal.Message, seq uint64) {
	if seq != 0 {
		if t.known && seq <= t.head {
			return
		}
		if !t.known || t.behind || seq > t.head+1 || t.waits() >= maxPending {
			t.miss(seq)
			return
		}
		t.head = seq
	}
	t.await(heard{m, seq})
}

// waits is how many messages are on their way.
func (t *topic) waits() int {
	if t.delivery == nil {
		return 0
	}
	return len(t.delivery.pending)
}

// await puts a message in line for its delivery.
func (t *topic) await(h heard) {
	if t.live == 0 || h.seq == 0 && t.waits() >= maxPending {
		return
	}
	if t.delivery == nil {
		t.delivery = t.shard.borrow()
	}
	t.delivery.pending = append(t.delivery.pending, h)
	t.activate()
}

// tell says what is not kept to the live sessions in its turn, and to those
// that catch up at once: it has no place among what they read. It returns how
// many it says something to, where that is asked.
func (t *topic) tell(m *journal.Message, count bool) (n int) {
	t.await(heard{message: m})
	var format Format
	var frame []byte
	for s := range t.lagging { // of one format, nearly always
		if s.Format != format {
			format, frame = s.Format, s.Format.Append(nil, m, 0)
		}
		if len(frame) > 0 && !s.excepted(m) && s.Conn.Send(frame) {
			n++
		}
	}
	if !count {
		return n
	}
	t.each(func(s *Session, g *group) {
		if g == nil || s.excepted(m) {
			return
		}
		if g.format != format {
			format, frame = g.format, g.format.Append(nil, m, 0)
		}
		if len(frame) > 0 {
			n++
		}
	})
	return n
}

func (t *topic) activate() {
	if !t.active {
		t.active = true
		t.shard.active = append(t.shard.active, t)
	}
}

// miss notes that seq exists; where it was not heard of, it is fetched, once
// there is room for it.
func (t *topic) miss(seq uint64) {
	t.missed = max(t.missed, seq)
	if t.known && t.missed > t.head && !t.behind && t.waits() <= maxPending/2 {
		t.behind = true
		t.shard.hub.fetch(t.shard, t.name, t.head)
	}
}

// joined is called when a session has been added.
func (t *topic) joined(s *Session) {
	t.arrived(s)
	if s.Inside != Own {
		t.clients++
		t.occupy()
	}
}

func (t *topic) leave(s *Session) {
	if _, lags := t.lagging[s]; lags {
		t.dropLagging(s)
	} else if g := s.group.Load(); g != nil {
		t.remove(g, s)
	} else {
		return
	}
	t.left(s)
	if s.Inside != Own {
		t.clients--
		t.vacate()
	}
}

// occupy says that somebody is here.
func (t *topic) occupy() {
	if t.leaving != nil {
		t.leaving.Stop()
		t.leaving = nil
	}
	if f := t.shard.hub.o.Occupied; f != nil && !t.occupied {
		t.occupied = true
		f(t.name, true)
	}
}

// vacate says that nobody is here any more, once that has lasted: who comes
// back at once never went.
func (t *topic) vacate() {
	if !t.occupied || t.clients > 0 {
		return
	}
	sh, name := t.shard, t.name
	var timer *time.Timer
	timer = time.AfterFunc(sh.hub.o.Linger, func() {
		sh.box.put(item{op: opDo, command: func(sh *shard) {
			if t := sh.topics[name]; t != nil && t.leaving == timer {
				t.leaving, t.occupied = nil, false
				sh.hub.o.Occupied(name, false)
				sh.drop(t)
			}
		}})
	})
	t.leaving = timer
}

func (t *topic) addLagging(s *Session) {
	if t.lagging == nil {
		t.lagging = map[*Session]struct{}{}
	}
	t.lagging[s] = struct{}{}
}

func (t *topic) dropLagging(s *Session) {
	delete(t.lagging, s)
	if len(t.lagging) == 0 {
		t.lagging = nil
	}
}

// each calls f for every session of the topic, with the group of a live one.
func (t *topic) each(f func(*Session, *group)) {
	for s := range t.lagging {
		f(s, nil)
	}
	for g := t.groups; g != nil; g = g.next {
		for i := range g.entries {
			if s := g.entries[i].session; s != nil && s.index != gone {
				f(s, g)
			}
		}
	}
	if t.delivery != nil {
		for i := range t.delivery.fresh {
			if s := t.delivery.fresh[i].session; s != nil {
				f(s, s.group.Load())
			}
		}
	}
}

// resume makes a session live that was catching up; false where there is no room
// to tell it who is here by now.
func (t *topic) resume(s *Session) bool {
	if s.Presence && s.flags.Load()&uninformed != 0 {
		if !s.tell(event("presence.here", t.people.here())) {
			s.wait()
			return false
		}
		s.flags.And(^uninformed)
	}
	s.slow = false
	t.dropLagging(s)
	t.goLive(s)
	return true
}

// goLive adds a session that has everything up to the topic's head to its
// group. What is on its way now it has, was told, or is not to hear: while
// there is such, the session is a fresh one.
func (t *topic) goLive(s *Session) {
	g := t.groups
	for g != nil && g.format != s.Format {
		g = g.next
	}
	if g == nil {
		g = &group{format: s.Format, next: t.groups}
		t.groups = g
	}
	g.members++
	t.live++
	e := entry{s.Conn, s, s.Key}
	if t.waits() == 0 && s.pos.Load() <= t.head {
		g.add(e)
	} else {
		if t.delivery == nil {
			t.delivery = t.shard.borrow()
		}
		t.delivery.join(e)
	}
	s.become(live)
	s.group.Store(g)
}

func (g *group) add(e entry) {
	e.session.index = int32(len(g.entries))
	g.entries = append(g.entries, e)
}

// take takes out the entry at i, which the last one replaces.
func (g *group) take(i int32) {
	last := len(g.entries) - 1
	if e := g.entries[last]; int(i) != last {
		g.entries[i] = e
		e.session.index = i
	}
	g.entries[last] = entry{}
	g.entries = g.entries[:last]
}

// remove takes a live session out of its group.
func (t *topic) remove(g *group, s *Session) {
	s.group.Store(nil)
	g.members--
	t.live--
	d, i := t.delivery, s.index
	switch {
	case i < 0 && d.messages != nil:
		d.fresh[-1-i] = fresh{}
	case i < 0:
		d.drop(i)
	case d != nil && d.messages != nil: // indexes stay as they are while a delivery walks over them
		s.index = gone
		d.holes = append(d.holes, hole{g, i})
		if d.crowd == nil || d.crowd.group != g {
			g.entries[i] = entry{}
		}
	default:
		g.take(i)
	}
	if d == nil || d.messages == nil {
		t.tidy()
	}
}

// tidy forgets empty groups, and lets the delivery go where nothing is on its
// way; between jobs.
func (t *topic) tidy() {
	if d := t.delivery; d != nil && len(d.pending) == 0 && len(d.fresh) == 0 {
		t.delivery = nil
		t.shard.lend(d)
	}
	for at := &t.groups; *at != nil; {
		if g := *at; g.members == 0 {
			*at = g.next
		} else {
			at = &g.next
		}
	}
}
