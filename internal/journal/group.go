package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kabar-io/kabar/internal/status"
)

// group is one transaction: the changes that waited while the one before it
// was committed. It is owned by the writer, then by the finisher.
type group struct {
	j                 *Journal
	batch             Batch
	ops               []*op
	records           []*record
	heads             map[string]uint64 // numbers given in this group
	keys              map[Key]*op       // keys that this group carried out
	pos               uint64
	now               time.Time
	refused, repeated uint64
}

// run carries the changes out and commits. derived is what was added to the
// stored index on the way, nil for nothing.
func (g *group) run() (derived *Derived, err error) {
	g.batch, err = g.j.o.Store.Begin(context.Background())
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.batch.Abort())
		}
	}()
	for _, o := range g.ops {
		if err := g.one(o); err != nil {
			return nil, err
		}
	}
	if err := g.batch.Append(g.rows()); err != nil {
		return nil, err
	}
	if derived, err = g.derive(); err != nil {
		return nil, err
	}
	return derived, g.batch.Commit()
}

// one carries out one change. Its own failure is its own; an error that is
// returned is the transaction's.
func (g *group) one(o *op) error {
	if o.key != (Key{}) {
		known, err := g.repeat(o)
		if err != nil || known {
			return err
		}
	}
	if now := time.Now().UTC(); now.After(g.now) {
		g.now = now
	}
	if err := g.batch.Mark(); err != nil {
		return err
	}
	ms, err := g.apply(o)
	if err != nil {
		o.err = err
		g.refused++
		return g.batch.Undo()
	}
	if err := g.batch.Keep(); err != nil {
		return err
	}
	for i, m := range ms {
		r := &record{Message: *m}
		if i == 0 && o.key != (Key{}) {
			r.key, r.of = o.key, len(ms)
			g.keys[o.key] = o
		}
		if err := g.number(r); err != nil {
			return err
		}
		o.result.Messages = append(o.result.Messages, &r.Message)
	}
	return nil
}

// apply runs the change; a panic in it is its error.
func (g *group) apply(o *op) (ms []*Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			g.j.o.Log.Error("a change panicked", "panic", p, "change", fmt.Sprintf("%T", o.change))
			ms, err = nil, fmt.Errorf("journal: a change panicked: %v", p)
		}
	}()
	tx := &Tx{batch: g.batch, group: g, now: g.now}
	ms, err = o.change.Apply(tx)
	o.after = tx.after
	return ms, err
}

// repeat answers a change whose key is known with the first one's result.
func (g *group) repeat(o *op) (known bool, err error) {
	if first, ok := g.keys[o.key]; ok {
		o.result = Result{Messages: first.result.Messages, Repeated: true}
		g.repeated++
		return true, nil
	}
	ref, ok := g.j.index.refs[o.key]
	if !ok {
		if ref, ok, err = g.batch.Ref(context.Background(), o.key); err != nil {
			return false, err
		}
	}
	if !ok || time.Since(ref.At) > g.j.o.RefAge {
		return false, nil
	}
	positions := make([]uint64, ref.Count)
	for i := range positions {
		positions[i] = ref.Pos + uint64(i)
	}
	ms, err := messagesAt(context.Background(), g.batch, positions)
	if err != nil { // a damaged row is this change's trouble, not the group's
		g.refused++
		o.err = err
		return true, nil //nolint:nilerr // it is told, to whom it concerns
	}
	o.result = Result{Messages: ms, Repeated: true}
	g.repeated++
	return true, nil
}

// number gives a message its row, its id and its place in each topic.
func (g *group) number(r *record) error {
	g.pos++
	r.pos, r.salt, r.Time = g.pos, newSalt(), g.now
	r.ID = formatID(r.pos, r.salt)
	entries := make([]Entry, len(r.Entries)) // the change may have shared its slice
	for i, e := range r.Entries {
		head, err := g.head(e.Topic)
		if err != nil {
			return err
		}
		entries[i] = Entry{Topic: e.Topic, Seq: head + 1}
		g.heads[e.Topic] = head + 1
	}
	r.Entries = entries
	g.records = append(g.records, r)
	return nil
}

// head is a topic's last number, with what this group gave.
func (g *group) head(topic string) (uint64, error) {
	if h, ok := g.heads[topic]; ok {
		return h, nil
	}
	// The writer alone changes the index, so it reads it without the lock.
	if t, ok := g.j.index.topics[topic]; ok {
		return t.head(), nil
	}
	c, ok, err := g.batch.LastChunk(context.Background(), topic)
	if err != nil || !ok {
		return 0, err
	}
	return c.First + uint64(len(c.Positions)) - 1, nil
}

func (g *group) rows() []Row {
	size := 0
	for _, r := range g.records {
		size += len(r.Data) + 160
	}
	buf := make([]byte, 0, size)
	rows := make([]Row, len(g.records))
	for i, r := range g.records {
		start := len(buf)
		buf = r.append(buf)
		rows[i] = Row{Pos: r.pos, Data: buf[start:len(buf):len(buf)]}
	}
	return rows
}

// derive stores the index of everything before this group, once it is worth it.
func (g *group) derive() (*Derived, error) {
	j := g.j
	if j.index.entries < hotEntries && len(j.index.refs) < hotRefs {
		return nil, nil
	}
	d := j.index.derived(j.pos)
	if err := g.batch.Derive(d); err != nil {
		return nil, err
	}
	if time.Since(j.forgot) > 10*time.Minute {
		j.forgot = time.Now()
		if err := g.batch.Forget(time.Now().Add(-j.o.RefAge), j.o.RefKeep); err != nil {
			return nil, err
		}
	}
	return &d, nil
}

// fail tells every change of the group that nothing was stored.
func (g *group) fail() {
	g.records = nil
	for _, o := range g.ops {
		o.result = Result{}
		o.err = status.Errorf(status.Unavailable, "NOT_STORED", "this could not be stored, and did not happen; try again in a moment")
	}
}

// finish hands the group's messages on, and then tells who waits.
func (g *group) finish(sink func([]*Message)) {
	if len(g.records) > 0 {
		ms := make([]*Message, len(g.records))
		for i, r := range g.records {
			ms[i] = &r.Message
		}
		sink(ms)
	}
	for _, o := range g.ops {
		if o.err == nil {
			for _, f := range o.after {
				f()
			}
		}
		o.pending.finish(o.result, o.err)
	}
}
