package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kabar-io/kabar/internal/status"
)

// group is one transaction: the changes that waited while the one before it
// was committed. The writer has one, and uses it for each in turn.
type group struct {
	j     *Journal // static
	batch Batch
	ops   []*Pending
	tx    Tx // of the change that runs

	messages []*Message       // of all changes, in order
	rows     []Row            // theirs
	data     []byte           // where the rows stand
	runs     []*run           // for each entry of each message, where it goes
	fresh    map[string]*run  // the topics that the index in memory lacks
	refs     []Ref            // of the keys that this group carried out
	keys     map[Key]*Pending // the same
	known    map[Key]Ref      // what the store knows of the group's keys
	damaged  map[Key]error    // the keys of which it cannot say what it knows
	amended  Amended
	disowned []Key // see Tx.Disown

	pos               uint64
	now               time.Time
	refused, repeated uint64
}

// maxScratch is how much room for rows is kept from one group to the next.
const maxScratch = 4 << 20

func newGroup(j *Journal) *group {
	return &group{j: j, fresh: map[string]*run{}, keys: map[Key]*Pending{}, known: map[Key]Ref{}, damaged: map[Key]error{}}
}

// begin makes the group an empty one for these changes.
func (g *group) begin(ops []*Pending) {
	if cap(g.data) > maxScratch {
		*g = *newGroup(g.j)
	}
	g.ops, g.messages = ops, make([]*Message, 0, len(ops))
	clear(g.rows)
	clear(g.runs)
	clear(g.refs)
	g.rows, g.data, g.runs, g.refs = g.rows[:0], g.data[:0], g.runs[:0], g.refs[:0]
	clear(g.fresh)
	clear(g.keys)
	clear(g.known)
	clear(g.damaged)
	g.amended, g.disowned = Amended{}, nil
	g.pos, g.now, g.refused, g.repeated = g.j.pos, g.j.lastTime, 0, 0
}

// run carries the changes out and commits.
func (g *group) run() (err error) {
	g.batch, err = g.j.o.Store.Begin(context.Background())
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.batch.Abort())
		}
	}()
	if err := g.j.verify(g.batch); err != nil {
		return err
	}
	g.lookUp()
	for _, o := range g.ops {
		if err := g.one(o); err != nil {
			return err
		}
	}
	if err := g.batch.Append(g.rows); err != nil {
		return err
	}
	return g.batch.Commit()
}

// lookUp asks the store for all keys of the group at once: most are new, and
// to hear so of each alone would cost more than its message. Where that fails
// each is asked alone, so that a damaged one is its own change's trouble.
func (g *group) lookUp() {
	var ask []Key
	for _, o := range g.ops {
		if o.key == (Key{}) {
			continue
		}
		if _, ok := g.j.index.refs[o.key]; !ok {
			ask = append(ask, o.key)
		}
	}
	if len(ask) == 0 {
		return
	}
	refs, err := g.batch.Refs(context.Background(), ask)
	for _, r := range refs {
		g.known[r.Key] = r
	}
	if err == nil {
		return
	}
	for i, k := range ask {
		refs, err := g.batch.Refs(context.Background(), ask[i:i+1])
		if err != nil {
			g.damaged[k] = err
		}
		for _, r := range refs {
			g.known[k] = r
		}
	}
}

// one carries out one change. Its own failure is its own; an error that is
// returned is the transaction's.
func (g *group) one(o *Pending) error {
	if o.key != (Key{}) {
		if g.repeat(o) {
			return nil
		}
	}
	if now := time.Now().UTC(); now.After(g.now) {
		g.now = now
	}
	if err := g.batch.Mark(); err != nil {
		return err
	}
	before := g.place()
	ms, err := g.apply(o)
	if err == nil {
		err = g.enter(o, ms)
	}
	if err != nil {
		g.takeBack(before)
		o.err = err
		g.refused++
		return g.batch.Undo()
	}
	if err := g.batch.Keep(); err != nil {
		return err
	}
	g.amended.Floors = append(g.amended.Floors, g.tx.floors...)
	g.amended.Messages = append(g.amended.Messages, g.tx.rewritten...)
	g.disowned = append(g.disowned, g.tx.disowned...)
	if o.key != (Key{}) && len(ms) > 0 {
		g.keys[o.key] = o
		g.refs = append(g.refs, Ref{Key: o.key, Pos: before.pos + 1, Count: len(ms), At: g.now})
	}
	o.result.Messages = ms
	return nil
}

// enter numbers what a change says. It fails where one of the topics is damaged,
// and some of the messages may have their numbers by then.
func (g *group) enter(o *Pending, ms []*Message) error {
	for i, m := range ms {
		if m.ID != "" { // the change returned it twice
			again := *m
			m, ms[i] = &again, &again
		}
		var r header
		if i == 0 && o.key != (Key{}) {
			r.key, r.of = o.key, len(ms)
		}
		if err := g.number(m, &r); err != nil {
			return err
		}
	}
	return nil
}

// place is how far a group is.
type place struct {
	pos                  uint64
	messages, data, runs int
}

func (g *group) place() place {
	return place{g.pos, len(g.messages), len(g.data), len(g.runs)}
}

// takeBack takes back the numbers that a change got.
func (g *group) takeBack(to place) {
	for _, t := range g.runs[to.runs:] {
		t.given--
	}
	g.pos = to.pos
	g.messages, g.rows = g.messages[:to.messages], g.rows[:to.messages]
	g.data, g.runs = g.data[:to.data], g.runs[:to.runs]
}

// apply runs the change; a panic in it is its error.
func (g *group) apply(o *Pending) (ms []*Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			g.j.o.Log.Error("a change panicked", "panic", p, "change", fmt.Sprintf("%T", o.change))
			ms, err = nil, fmt.Errorf("journal: a change panicked: %v", p)
		}
	}()
	g.tx = Tx{batch: g.batch, group: g, now: g.now}
	ms, err = o.change.Apply(&g.tx)
	o.after = g.tx.after
	return ms, err
}

// repeat answers a change whose key is known with the first one's result.
func (g *group) repeat(o *Pending) (known bool) {
	if err := g.damaged[o.key]; err != nil {
		g.refused++
		o.err = err
		return true
	}
	if first, ok := g.keys[o.key]; ok {
		o.result = Result{Messages: first.result.Messages, Repeated: true}
		g.repeated++
		return true
	}
	ref, ok := g.j.index.refs[o.key]
	if !ok {
		ref, ok = g.known[o.key]
	}
	if !ok || time.Since(ref.At) > g.j.o.RefAge {
		return false
	}
	positions := make([]uint64, ref.Count)
	for i := range positions {
		positions[i] = ref.Pos + uint64(i)
	}
	rows, err := g.batch.RowsAt(context.Background(), positions)
	if err == nil && len(rows) < len(positions) {
		err = errRefExpired
	}
	ms, err := messages(g.batch, rows, err)
	if err != nil { // a damaged or swept row is this change's trouble, not the group's
		g.refused++
		o.err = err
		return true
	}
	o.result = Result{Messages: ms, Repeated: true}
	g.repeated++
	return true
}

// errRefExpired is the answer to a key whose messages were swept since: what
// came of it is not known any more, but that it happened is.
var errRefExpired = status.Errorf(status.Gone, "REF_EXPIRED", "this ref was carried out before, and what came of it is not kept any more")

// number gives a message its row, its id and its place in each topic.
func (g *group) number(m *Message, r *header) error {
	g.pos++
	r.pos, r.salt = g.pos, newSalt()
	m.Time, m.ID = g.now, formatID(r.pos, r.salt)
	if len(m.Entries) > 0 && m.Entries[0].Seq != 0 { // the change shares them among its messages
		m.Entries = slices.Clone(m.Entries)
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		t, err := g.topic(e.Topic)
		if err != nil {
			return err
		}
		t.given++
		// The name that the index has anyway: messages stay in memory for long.
		e.Topic, e.Seq = t.name, t.head()+t.given
		g.runs = append(g.runs, t)
	}
	g.messages = append(g.messages, m)
	start := len(g.data)
	g.data = r.append(g.data, m)
	g.rows = append(g.rows, Row{Pos: r.pos, Data: g.data[start:len(g.data):len(g.data)]})
	return nil
}

// topic is the newest part of a topic, an empty one where it is not in memory.
func (g *group) topic(name string) (*run, error) {
	// The writer alone changes the index, so it reads it without the lock.
	if t := g.j.index.topics[name]; t != nil {
		return t, nil
	}
	if t := g.fresh[name]; t != nil {
		return t, nil
	}
	e, err := g.batch.Ends(context.Background(), name)
	if err != nil {
		return nil, err
	}
	t := &run{name: name, first: e.Head + 1, floor: e.Floor}
	g.fresh[name] = t
	return t, nil
}

// head is a topic's last number, with what this group gave.
func (g *group) head(topic string) (uint64, error) {
	t, err := g.topic(topic)
	if err != nil {
		return 0, err
	}
	return t.head() + t.given, nil
}

// index adds the group to the index in memory, whose lock is held.
func (g *group) index() {
	x := &g.j.index
	next := 0
	for i, m := range g.messages {
		for _, e := range m.Entries {
			t := g.runs[next]
			next++
			if len(t.positions) == 0 {
				x.topics[e.Topic] = t
			}
			t.given, t.positions = 0, append(t.positions, g.rows[i].Pos)
		}
	}
	x.entries += next
	for _, r := range g.refs {
		x.refs[r.Key] = r
	}
	for _, k := range g.disowned {
		delete(x.refs, k)
	}
	x.raise(g.amended.Floors)
}

// fail takes the given numbers back, and tells every change of the group that
// nothing was stored.
func (g *group) fail(err error) {
	for _, t := range g.runs {
		t.given = 0
	}
	g.messages, g.amended = nil, Amended{}
	told := refusal(err)
	for _, o := range g.ops {
		o.result, o.err = Result{}, told
	}
}

// outcome is what came of a group, for the finisher.
type outcome struct {
	ops      []*Pending
	messages []*Message
	amended  Amended
}

// Amended is what a commit changed of what had been said before.
type Amended struct {
	Floors   []Entry    // topics that begin with this number now
	Messages []*Message // as they read now
}

func (a *Amended) empty() bool { return len(a.Floors) == 0 && len(a.Messages) == 0 }

// finish hands the group's messages on, and then tells who waits.
func (c outcome) finish(sink func([]*Message), watch func(Amended)) {
	if len(c.messages) > 0 {
		sink(c.messages)
	}
	if watch != nil && !c.amended.empty() {
		watch(c.amended)
	}
	for _, o := range c.ops {
		if o.err == nil {
			for _, f := range o.after {
				f()
			}
		}
		o.finish()
	}
}
