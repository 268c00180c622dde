package journal

import (
	"cmp"
	"slices"
)

// maxChunk is how many positions a stored chunk holds: one is read whole.
const maxChunk = 512

// run is the newest part of a topic: the rows of seq first, first+1, ….
type run struct {
	first     uint64
	positions []uint64 // never empty
}

func (r *run) head() uint64 { return r.first + uint64(len(r.positions)) - 1 }

// index finds messages whose place is not in the stored index yet.
type index struct {
	topics  map[string]*run
	refs    map[Key]Ref
	entries int
}

func (x *index) reset() {
	*x = index{topics: map[string]*run{}, refs: map[Key]Ref{}}
}

func (x *index) empty() bool { return x.entries == 0 && len(x.refs) == 0 }

func (x *index) add(r *record) {
	for _, e := range r.Entries {
		t := x.topics[e.Topic]
		if t == nil {
			t = &run{first: e.Seq}
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
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.First, b.First))
	})
	for _, r := range x.refs {
		d.Refs = append(d.Refs, r)
	}
	slices.SortFunc(d.Refs, func(a, b Ref) int {
		return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Ref, b.Ref))
	})
	return d
}

// from copies the positions of seq and after, at most limit. first is the
// oldest seq that is in memory, 0 where the topic is not.
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
