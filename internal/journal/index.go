package journal

import (
	"cmp"
	"slices"
	"strings"
)

// maxChunk is how many positions a stored chunk holds: one is read whole.
const maxChunk = 512

// run is the newest part of a topic: the rows of seq first, first+1, …. It is
// empty where all of the topic is in the stored index: what is known then is
// the topic's head.
type run struct {
	name      string // the topic, once for all its messages
	first     uint64
	floor     uint64 // the first number that can be read; 0: not asked for yet
	positions []uint64
	given     uint64 // numbers behind them that the group under way gave; owned by the writer
}

func (r *run) head() uint64 { return r.first + uint64(len(r.positions)) - 1 }

// index finds messages whose place is not in the stored index yet.
type index struct {
	topics  map[string]*run
	refs    map[Key]Ref
	entries int

	quiet  map[string]Ends // of topics that are not in topics, as they were read
	resets uint64          // how often topics left: what was read before may be old
}

// maxQuiet bounds the ends that are kept: with one more they are gathered anew.
const maxQuiet = 1 << 14

func (x *index) reset() {
	*x = index{topics: map[string]*run{}, refs: map[Key]Ref{}, resets: x.resets + 1}
}

// head is where a topic stands, known false where that is not in memory.
func (x *index) head(topic string) (head uint64, known bool) {
	if t := x.topics[topic]; t != nil {
		return t.head(), true
	}
	e, known := x.quiet[topic]
	return e.Head, known
}

// floor is where a topic begins, known false where that is not in memory.
func (x *index) floor(topic string) (floor uint64, known bool) {
	if t := x.topics[topic]; t != nil {
		return t.floor, t.floor > 0
	}
	e, known := x.quiet[topic]
	return e.Floor, known
}

// keep keeps what was read of a topic when there had been so many resets. What
// was said since stands in topics, and is found there first.
func (x *index) keep(topic string, e Ends, resets uint64) {
	if resets != x.resets {
		return
	}
	if t := x.topics[topic]; t != nil {
		t.floor = max(t.floor, e.Floor)
		return
	}
	if x.quiet == nil || len(x.quiet) >= maxQuiet {
		x.quiet = map[string]Ends{}
	}
	x.quiet[topic] = e
}

// raise has topics begin later. Whoever reads their ends at this moment may
// have read the old ones.
func (x *index) raise(floors []Entry) {
	for _, f := range floors {
		if t := x.topics[f.Topic]; t != nil && t.floor > 0 {
			t.floor = max(t.floor, f.Seq)
		}
		if e, ok := x.quiet[f.Topic]; ok {
			e.Floor = max(e.Floor, f.Seq)
			x.quiet[f.Topic] = e
		}
	}
	if len(floors) > 0 {
		x.resets++
	}
}

// stored forgets what the stored index has now, but for the heads of the topics
// that it was about: whoever spoke a moment ago speaks again.
func (x *index) stored() {
	for topic, t := range x.topics {
		if len(t.positions) == 0 {
			delete(x.topics, topic)
			if t.floor > 0 {
				x.keep(topic, Ends{t.floor, t.head()}, x.resets)
			}
			continue
		}
		t.first, t.positions = t.first+uint64(len(t.positions)), nil
	}
	x.refs, x.entries = map[Key]Ref{}, 0
	x.resets++
}

func (x *index) empty() bool { return x.entries == 0 && len(x.refs) == 0 }

// add adds a row that was read.
func (x *index) add(r *record) {
	for _, e := range r.Entries {
		t := x.topics[e.Topic]
		if t == nil {
			t = &run{name: e.Topic, first: e.Seq}
			x.topics[e.Topic] = t
		}
		t.positions = append(t.positions, r.pos)
	}
	x.entries += len(r.Entries)
	if r.key != (Key{}) {
		x.refs[r.key] = Ref{Key: r.key, Pos: r.pos, Count: r.of, At: r.Time}
	}
}

// derived is the whole index, sorted as the store keeps it.
func (x *index) derived(mark uint64) Derived {
	d := Derived{Mark: mark}
	for topic, t := range x.topics {
		first := t.first
		for part := range slices.Chunk(t.positions, maxChunk) {
			d.Chunks = append(d.Chunks, Chunk{Topic: topic, First: first, Positions: part})
			first += uint64(len(part))
		}
	}
	slices.SortFunc(d.Chunks, func(a, b Chunk) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return cmp.Compare(a.First, b.First)
	})
	for _, r := range x.refs {
		d.Refs = append(d.Refs, r)
	}
	slices.SortFunc(d.Refs, func(a, b Ref) int {
		if c := strings.Compare(a.Scope, b.Scope); c != 0 {
			return c
		}
		return strings.Compare(a.Key.Ref, b.Key.Ref)
	})
	return d
}

// from copies the positions of seq and after, at most limit. first is the seq
// from which on the topic is in memory, 0 where it is not.
func (x *index) from(topic string, seq uint64, limit int) (positions []uint64, first uint64) {
	t := x.topics[topic]
	if t == nil {
		return nil, 0
	}
	if seq < t.first || seq > t.head() {
		return nil, t.first
	}
	part := t.positions[seq-t.first:]
	return slices.Clone(part[:min(limit, len(part))]), t.first
}
