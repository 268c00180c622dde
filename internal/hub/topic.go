package hub

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// topic is what a shard knows of one topic: who hears it, and what is on its
// way to them. All of it is owned by the shard.
type topic struct {
	shard *shard // static
	name  string

	holds  int    // how many are about to join
	known  bool   // head is; before the first session it is not
	head   uint64 // the newest number heard of
	missed uint64 // a number above head that is known to exist
	behind bool   // what is missed is being fetched

	groups  []*group
	lagging map[*Session]struct{} // those that are not live
	people  *people               // nil while nobody watches

	occupied bool        // as Options.Occupied was told
	leaving  *time.Timer // since the last session went, nil otherwise

	pending []heard // heard, not yet on its way
	told    uint64  // how much was told so far
	active  bool    // in the shard's list of those with something to deliver
	job     job
}

type heard struct {
	message *journal.Message
	seq     uint64 // 0: not kept
	told    uint64 // the count of what was told, 0 of all else
}

// group is the live sessions of one format.
type group struct {
	format   Format
	sessions []*Session // nil where one left during a delivery
	holes    int
	sent     atomic.Uint64 // up to where all of them have been sent everything
}

// job is one delivery under way: some messages, to all groups, in slices.
type job struct {
	messages []heard
	first    uint64 // the numbers among messages, 0 where none has one
	last     uint64
	told     uint64 // the least count among them, 0 where none was told
	group    int    // where the next slice begins
	session  int    //
	bound    int    // sessions of the group that were there when it began
	buffers
}

// buffers are a job's; a topic that is quiet has none.
type buffers struct {
	joined  []byte   // what the group gets, as one
	frames  [][]byte // the same, for each message
	excepts []uint64 // the session keys that do not hear all of it
}

func (t *topic) size() int {
	n := len(t.lagging)
	for _, g := range t.groups {
		n += len(g.sessions) - g.holes
	}
	return n
}

// hear takes a message in order. A number that comes too soon shows that
// something is missing, which is then fetched.
func (t *topic) hear(m *journal.Message, seq uint64) {
	if seq != 0 {
		if t.known && seq <= t.head {
			return
		}
		if !t.known || t.behind || seq > t.head+1 || len(t.pending) >= maxPending {
			t.miss(seq)
			return
		}
		t.head = seq
	}
	t.await(heard{message: m, seq: seq})
}

// await puts a message in line for its delivery.
func (t *topic) await(h heard) {
	if len(t.groups) == 0 || h.seq == 0 && len(t.pending) >= maxPending {
		return
	}
	t.pending = append(t.pending, h)
	t.activate()
}

// tell says what is not kept to the live sessions in its turn, and to those
// that catch up at once: it has no place among what they read. It returns how
// many it says something to, where that is asked.
func (t *topic) tell(m *journal.Message, count bool) (n int) {
	excepted := func(s *Session) bool { return m.Except != 0 && m.Except == s.Key }
	t.told++
	t.await(heard{message: m, told: t.told})
	for s := range t.lagging {
		if frame := s.Format.Append(nil, m, 0); !excepted(s) && len(frame) > 0 && s.Conn.Send(frame) {
			n++
		}
	}
	if !count {
		return n
	}
	for _, g := range t.groups {
		if len(g.format.Append(nil, m, 0)) == 0 {
			continue
		}
		for _, s := range g.sessions {
			if s != nil && !excepted(s) {
				n++
			}
		}
	}
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
	if t.known && t.missed > t.head && !t.behind && len(t.pending) <= maxPending/2 {
		t.behind = true
		t.shard.hub.fetch(t.shard, t.name, t.head)
	}
}

// join adds a session that is not live yet.
func (t *topic) join(s *Session) {
	t.addLagging(s)
	s.state.Store(reading)
	t.arrived(s)
	t.occupy()
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
	t.vacate()
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
	if !t.occupied || t.size() > 0 {
		return
	}
	sh, name := t.shard, t.name
	var timer *time.Timer
	timer = time.AfterFunc(sh.hub.o.Linger, func() {
		sh.box.put(item{command: func(sh *shard) {
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

// goLive moves a session that has everything up to the topic's head.
func (t *topic) goLive(s *Session) {
	t.dropLagging(s)
	var g *group
	for _, have := range t.groups {
		if have.format == s.Format {
			g = have
		}
	}
	if g == nil {
		g = &group{format: s.Format}
		t.groups = append(t.groups, g)
	}
	s.place = place{len(g.sessions), t.told}
	g.sessions = append(g.sessions, s)
	s.state.Store(live)
	s.group.Store(g)
}

// remove takes a live session out of its group.
func (t *topic) remove(g *group, s *Session) {
	s.group.Store(nil)
	if t.job.messages != nil { // indexes stay as they are while a delivery walks over them
		g.sessions[s.place.index] = nil
		g.holes++
		return
	}
	last := len(g.sessions) - 1
	g.sessions[s.place.index] = g.sessions[last]
	g.sessions[s.place.index].place.index = s.place.index
	g.sessions[last] = nil
	g.sessions = g.sessions[:last]
	t.tidy()
}

// tidy closes holes and forgets empty groups, between deliveries.
func (t *topic) tidy() {
	groups := t.groups[:0]
	for _, g := range t.groups {
		if g.holes > 0 {
			kept := g.sessions[:0]
			for _, s := range g.sessions {
				if s != nil {
					s.place.index = len(kept)
					kept = append(kept, s)
				}
			}
			clear(g.sessions[len(kept):])
			g.sessions, g.holes = kept, 0
		}
		if len(g.sessions) > 0 {
			groups = append(groups, g)
		}
	}
	clear(t.groups[len(groups):])
	t.groups = groups
}

// slice delivers to some sessions, and says whether there is more to do.
func (t *topic) slice() (more bool) {
	if t.job.messages == nil && !t.begin() {
		return false
	}
	j := &t.job
	for budget := sliceSessions; budget > 0; {
		if j.group >= len(t.groups) {
			t.end()
			return len(t.pending) > 0
		}
		g := t.groups[j.group]
		if j.session == 0 {
			j.encode(g)
		}
		n := min(j.bound-j.session, budget)
		if len(j.joined) > 0 {
			for _, s := range g.sessions[j.session : j.session+n] {
				if s != nil {
					t.send(g, s)
				}
			}
			budget -= n
			t.shard.hub.counts.deliveries.Add(int64(n * len(j.messages)))
		} else {
			n = j.bound - j.session
		}
		if j.session += n; j.session >= j.bound {
			if j.last > 0 {
				g.sent.Store(j.last)
			}
			j.group, j.session = j.group+1, 0
		}
	}
	return true
}

// begin makes a job of what is pending.
func (t *topic) begin() bool {
	if len(t.pending) == 0 {
		return false
	}
	j := &t.job
	j.buffers = t.shard.borrow()
	n, size := 0, 0
	for n < len(t.pending) && n < jobMessages && (n == 0 || size < jobBytes) {
		h := t.pending[n]
		size += len(h.message.Data) + 100
		if h.seq != 0 {
			if j.first == 0 {
				j.first = h.seq
			}
			j.last = h.seq
		}
		if h.told != 0 && j.told == 0 {
			j.told = h.told
		}
		if e := h.message.Except; e != 0 && !slices.Contains(j.excepts, e) {
			j.excepts = append(j.excepts, e)
		}
		n++
	}
	j.messages = t.pending[:n:n]
	t.pending = t.pending[n:]
	return true
}

// encode writes the job in a group's format.
func (j *job) encode(g *group) {
	j.bound = len(g.sessions)
	j.joined, j.frames = j.joined[:0], j.frames[:0]
	ends := make([]int, 0, 8)
	for _, h := range j.messages {
		j.joined = g.format.Append(j.joined, h.message, h.seq)
		ends = append(ends, len(j.joined))
	}
	start := 0
	for _, end := range ends {
		j.frames = append(j.frames, j.joined[start:end:end])
		start = end
	}
}

// send delivers the job to one session. One that joined in the middle, or is
// excepted from something, gets its own choice of the frames.
func (t *topic) send(g *group, s *Session) {
	j := &t.job
	pos := s.pos.Load()
	frames := t.shard.frames[:0]
	if (j.first == 0 || pos < j.first) && (j.told == 0 || s.place.told < j.told) && !(s.Key != 0 && slices.Contains(j.excepts, s.Key)) {
		frames = append(frames, j.joined)
	} else {
		for i, h := range j.messages {
			if len(j.frames[i]) > 0 && (h.seq == 0 || h.seq > pos) && (h.told == 0 || h.told > s.place.told) && (h.message.Except == 0 || h.message.Except != s.Key) {
				frames = append(frames, j.frames[i])
			}
		}
	}
	t.shard.frames = frames
	if len(frames) == 0 || s.Conn.Send(frames...) {
		return
	}
	t.fallBack(g, s)
}

// fallBack takes a session that cannot keep up out of the live ones. It has
// everything before the job that was refused.
func (t *topic) fallBack(g *group, s *Session) {
	j := &t.job
	t.shard.hub.counts.fallbacks.Add(1)
	if j.first > 0 {
		s.pos.Store(max(s.pos.Load(), j.first-1))
	} else {
		s.pos.Store(max(s.pos.Load(), g.sent.Load()))
	}
	t.remove(g, s)
	t.addLagging(s)
	s.slow.Store(true)
	s.wait()
}

// end finishes a job.
func (t *topic) end() {
	clear(t.job.messages)
	t.shard.lend(buffers{t.job.joined[:0], t.job.frames[:0], t.job.excepts[:0]})
	t.job = job{}
	if len(t.pending) == 0 {
		t.pending = nil
	}
	t.tidy()
	t.miss(0)
}
