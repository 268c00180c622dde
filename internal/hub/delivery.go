package hub

import (
	"bytes"
	"slices"
	"sync"

	"github.com/kabar-io/kabar/internal/journal"
)

type heard struct {
	message *journal.Message
	seq     uint64 // 0: not kept
}

// delivery is what is on its way in a topic: what waits, and a job, which is
// some of it on its way to all groups, in slices.
type delivery struct {
	pending []heard // heard and not delivered; the job's are the first
	done    uint64  // how many were delivered before those
	fresh   []fresh // live sessions that have some of it
	holes   []hole  // entries whose session left during the job

	messages []heard // the job, nil where none is under way
	first    uint64  // the numbers among messages, 0 where none has one
	last     uint64
	group    *group // where the next slice begins
	next     int    //
	crowd    *crowd // where several shards send to the group

	joined  []byte        // what the group gets, as one
	frames  [][]byte      // the same, for each message
	excepts []uint64      // the session keys that do not hear all of it, in order
	keep    func() []byte // static: kept

	mu   sync.Mutex
	copy []byte // guarded by mu: of joined, for those where it has to wait; nil while there are none
}

func newDelivery() *delivery {
	d := &delivery{}
	d.keep = d.kept // once, and not for each that is sent to
	return d
}

// kept is joined for those where it has to wait: joined itself is written to
// again with the next job.
func (d *delivery) kept() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.copy == nil {
		d.copy = bytes.Clone(d.joined)
	}
	return d.copy
}

// forget lets the copy go to those who hold it. Nobody is being sent to.
func (d *delivery) forget() {
	d.mu.Lock()
	d.copy = nil
	d.mu.Unlock()
}

// fresh is a live session that came while something was on its way: of that it
// gets nothing. Its index counts down from -1.
type fresh struct {
	entry
	until uint64 // what was, as delivery.done counts
}

// hole is an empty entry of a group.
type hole struct {
	group *group
	index int32
}

// join adds a fresh session.
func (d *delivery) join(e entry) {
	d.fresh = append(d.fresh, fresh{e, d.done + uint64(len(d.pending))})
	e.session.index = -int32(len(d.fresh))
}

// drop takes out a fresh session by its index, between jobs; the last one
// replaces it.
func (d *delivery) drop(index int32) {
	last := len(d.fresh) - 1
	if f := d.fresh[last]; int(-1-index) != last {
		d.fresh[-1-index] = f
		f.session.index = index
	}
	d.fresh[last] = fresh{}
	d.fresh = d.fresh[:last]
}

// fill closes the holes.
func (d *delivery) fill() {
	for _, h := range d.holes {
		g := h.group
		for n := len(g.entries); n > 0 && g.entries[n-1].session == nil; n-- {
			g.entries = g.entries[:n-1]
		}
		if int(h.index) < len(g.entries) {
			g.take(h.index)
		}
	}
	clear(d.holes)
	d.holes = d.holes[:0]
}

// settle moves the fresh sessions to the others to which nothing will be
// delivered any more that they have.
func (t *topic) settle(d *delivery) {
	if len(d.fresh) == 0 {
		return
	}
	sent := t.head
	if i := slices.IndexFunc(d.pending, func(h heard) bool { return h.seq != 0 }); i >= 0 {
		sent = d.pending[i].seq - 1
	}
	kept := d.fresh[:0]
	for _, f := range d.fresh {
		switch s := f.session; {
		case s == nil:
		case f.until <= d.done && s.pos.Load() <= sent:
			s.group.Load().add(f.entry)
		default:
			kept = append(kept, f)
			s.index = -int32(len(kept))
		}
	}
	clear(d.fresh[len(kept):])
	d.fresh = kept
}

// slice delivers to some sessions, and says whether there is more to do here.
func (t *topic) slice() (more bool) {
	d := t.delivery
	if d == nil || d.messages == nil && !d.begin(t.groups) {
		return false
	}
	for budget := sliceSessions; budget > 0; {
		if d.crowd != nil {
			more, last := d.crowd.work(t.shard, budget)
			if last {
				t.gather()
			}
			return more || last
		}
		g := d.group
		if g == nil {
			return t.end()
		}
		if d.next == 0 {
			d.encode(g)
			if len(d.joined) > 0 && t.crowded(g) {
				t.call(g)
				continue
			}
		}
		n := min(len(g.entries)-d.next, budget)
		if len(d.joined) > 0 {
			for i := d.next; i < d.next+n; i++ {
				if e := &g.entries[i]; e.session != nil && !d.send(t.shard, e) {
					t.fallBack(g, e.session)
				}
			}
			budget -= n
			t.shard.hub.counts.deliveries.Add(int64(n * len(d.messages)))
		} else {
			n = len(g.entries) - d.next
		}
		if d.next += n; d.next >= len(g.entries) {
			t.pass(g)
		}
	}
	return true
}

// begin makes a job of what is pending.
func (d *delivery) begin(groups *group) bool {
	if len(d.pending) == 0 {
		return false
	}
	d.first, d.last, d.excepts = 0, 0, d.excepts[:0]
	n, size := 0, 0
	for n < len(d.pending) && n < jobMessages && (n == 0 || size < jobBytes) {
		h := d.pending[n]
		size += len(h.message.Data) + 100
		if h.seq != 0 {
			if d.first == 0 {
				d.first = h.seq
			}
			d.last = h.seq
		}
		if e := h.message.Except; e != 0 {
			d.excepts = append(d.excepts, e)
		}
		n++
	}
	slices.Sort(d.excepts)
	d.messages = d.pending[:n:n]
	d.group, d.next = groups, 0
	return true
}

// encode writes the job in a group's format.
func (d *delivery) encode(g *group) {
	d.forget()
	d.joined, d.frames = d.joined[:0], d.frames[:0]
	for _, h := range d.messages {
		start := len(d.joined)
		d.joined = g.format.Append(d.joined, h.message, h.seq)
		d.frames = append(d.frames, d.joined[start:len(d.joined):len(d.joined)])
	}
	end := len(d.joined) // where appending moved it, the frames before are elsewhere
	for i := len(d.frames) - 1; i >= 0; i-- {
		start := end - len(d.frames[i])
		d.frames[i] = d.joined[start:end:end]
		end = start
	}
}

// send delivers the job to one session; false where there is no room.
func (d *delivery) send(sh *shard, e *entry) bool {
	if len(d.excepts) > 0 && e.key != 0 {
		if _, excepted := slices.BinarySearch(d.excepts, e.key); excepted {
			return d.some(sh, e, 0, 0)
		}
	}
	return e.conn.Share(d.joined, d.keep)
}

// some delivers what of the job is for a session that does not get all of it:
// from a message on, and what is not kept or behind pos.
func (d *delivery) some(sh *shard, e *entry, from int, pos uint64) bool {
	frames := sh.frames[:0]
	for i := from; i < len(d.messages); i++ {
		h := &d.messages[i]
		if len(d.frames[i]) > 0 && (h.seq == 0 || h.seq > pos) && (h.message.Except == 0 || h.message.Except != e.key) {
			frames = append(frames, d.frames[i])
		}
	}
	sh.frames = frames
	return len(frames) == 0 || e.conn.Send(frames...)
}

// pass ends the job in a group.
func (t *topic) pass(g *group) {
	d := t.delivery
	for i := range d.fresh {
		f := &d.fresh[i]
		if f.session == nil || f.session.group.Load() != g {
			continue
		}
		if from := f.until - min(f.until, d.done); from < uint64(len(d.messages)) && len(d.joined) > 0 {
			t.shard.hub.counts.deliveries.Add(int64(len(d.messages)) - int64(from))
			if !d.some(t.shard, &f.entry, int(from), f.session.pos.Load()) {
				t.fallBack(g, f.session)
			}
		}
	}
	if d.last > 0 {
		g.sent.Store(d.last)
	}
	d.group, d.next = g.next, 0
}

// fallBack takes a session that cannot keep up out of the live ones. It has
// everything before the job that was refused.
func (t *topic) fallBack(g *group, s *Session) {
	d := t.delivery
	t.shard.hub.counts.fallbacks.Add(1)
	if d.first > 0 {
		s.pos.Store(max(s.pos.Load(), d.first-1))
	} else {
		s.pos.Store(max(s.pos.Load(), g.sent.Load()))
	}
	t.remove(g, s)
	t.addLagging(s)
	s.slow = true
	s.flags.Or(uninformed) // where what was refused told it who came
	s.wait()
}

// end finishes a job, and says whether there is another.
func (t *topic) end() (more bool) {
	d := t.delivery
	n := len(d.messages)
	d.done += uint64(n)
	rest := copy(d.pending, d.pending[n:])
	clear(d.pending[rest:])
	d.pending = d.pending[:rest]
	d.messages, d.group = nil, nil
	d.fill()
	t.settle(d)
	t.tidy()
	t.miss(0)
	return t.waits() > 0
}
