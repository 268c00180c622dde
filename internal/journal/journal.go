package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kabar-io/kabar/internal/status"
)

// The bounds of what waits, and how far the index runs behind.
const (
	maxQueue   = 1 << 17 // changes waiting: past it a flood of them would fill the memory
	maxGroup   = 4096    // changes in one commit: past it the first would wait too long
	hotEntries = 65536   // entries, and keys, kept in memory only: more are sorted better, and read again at a start
)

// Options says what a journal stands on.
type Options struct {
	Store Store
	// RefAge and RefKeep bound what is remembered of keys; 0 is 24 h, and the
	// last 1,000 of a scope.
	RefAge  time.Duration
	RefKeep int
	Log     *slog.Logger // nil: slog.Default()
}

// Journal is the one writer of a store.
type Journal struct {
	// static
	o     Options
	epoch string
	wake  chan struct{} // one place: something is queued, or the end has come
	ready chan outcome  // committed groups, for the finisher
	watch func(Amended) // see Watch

	queueMu sync.Mutex
	queue   []*Pending // guarded by queueMu
	closed  bool       // guarded by queueMu

	mu      sync.RWMutex
	index   index   // guarded by mu; changed by the writer alone
	trouble trouble // guarded by mu; changed by the writer alone
	stats   Stats   // guarded by mu

	// owned by the writer
	pos      uint64 // the last row written
	mark     uint64 // the row up to which the stored index is complete
	hot      int    // how much of the index may be in memory only; hotEntries, more where it cannot be stored
	unstored bool   // somebody needs the index to be stored, however little it is (see Sweep)
	lastTime time.Time
}

// Stats counts what a journal did since it was opened.
type Stats struct {
	Commits, Messages, Changes, Refused, Repeated, Failures uint64
	Swept, Rewritten                                        uint64 // rows
}

// Open reads what the store holds and makes the index again from the rows that
// are newer than its mark. Nothing is written before Run.
func Open(ctx context.Context, o Options) (*Journal, error) {
	if o.RefAge == 0 {
		o.RefAge = 24 * time.Hour
	}
	if o.RefKeep == 0 {
		o.RefKeep = 1000
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	state, err := o.Store.State(ctx)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &Journal{
		o: o, epoch: state.Epoch,
		wake: make(chan struct{}, 1), ready: make(chan outcome, 4),
		pos: state.Mark, mark: state.Mark, hot: hotEntries,
	}
	j.index.reset()
	return j, j.recover(ctx)
}

// recover derives the index of the rows behind the mark.
func (j *Journal) recover(ctx context.Context) error {
	for before := j.mark + 1; j.lastTime.IsZero(); { // of a row that is damaged its readers hear, and the one before it was not later
		row, ok, err := j.o.Store.RowBefore(ctx, before)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if r, err := decodeFrom(j.o.Store, row); err == nil {
			j.lastTime = r.Time
		}
		before = row.Pos
	}
	for {
		rows, err := j.o.Store.Rows(ctx, j.pos, 1000)
		if err != nil {
			return fmt.Errorf("journal: reading what the index lacks: %w", err)
		}
		for _, row := range rows {
			r, err := decodeFrom(j.o.Store, row)
			if err != nil {
				return err
			}
			if recoverIndex {
				j.index.add(r)
			}
			j.pos, j.lastTime = row.Pos, r.Time
		}
		if len(rows) < 1000 {
			return nil
		}
	}
}

// Epoch is the log's: positions of another epoch mean nothing here.
func (j *Journal) Epoch() string { return j.epoch }

// Stats is what was done so far.
func (j *Journal) Stats() Stats {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.stats
}

// Do hands a change over.
func (j *Journal) Do(c Change) *Pending { return j.DoOnce(Key{}, c) }

// DoOnce hands a change over under a key: where a change of that key said
// something within Options.RefAge, this one does nothing and gets its result.
// A change that fails, or says nothing, is not remembered.
func (j *Journal) DoOnce(k Key, c Change) *Pending {
	p := &Pending{change: c, key: k}
	j.queueMu.Lock()
	switch {
	case j.closed:
		p.err = status.Errorf(status.Unavailable, "CLOSING", "the server is going down")
	case len(j.queue) >= maxQueue:
		p.err = status.Errorf(status.Unavailable, "BUSY", "the server has more to store than it can; try again in a moment")
	default:
		j.queue = append(j.queue, p)
	}
	refused := p.err != nil // asked before the unlock: from there on a queued p is the writer's
	j.queueMu.Unlock()
	if refused {
		p.finish()
		return p
	}
	j.signal()
	return p
}

// Finish hands a change over and waits until it is durable or refused. What is
// handed over happens whether or not its caller still waits, so ctx is asked
// before and not after: for changes that something must follow from.
func (j *Journal) Finish(ctx context.Context, c Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := j.Do(c).Wait(context.WithoutCancel(ctx))
	return err
}

func (j *Journal) signal() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// take empties the queue, up to a group's bound.
func (j *Journal) take() (ops []*Pending, more, closed bool) {
	j.queueMu.Lock()
	defer j.queueMu.Unlock()
	ops = j.queue
	if len(ops) > maxGroup {
		ops, j.queue = ops[:maxGroup:maxGroup], ops[maxGroup:]
		return ops, true, j.closed
	}
	j.queue = nil
	return ops, false, j.closed
}

// Watch has f hear what commits change of what was said before, behind their
// messages, on the goroutine of Run's sink. It is called before Run, once: by
// who keeps messages in memory.
func (j *Journal) Watch(f func(Amended)) { j.watch = f }

// Run writes until ctx ends, and then finishes what was accepted. It returns
// when every Pending is done and the index is stored. sink gets what is
// committed, in order, from one goroutine, before the change's Pending is done;
// it must not wait.
func (j *Journal) Run(ctx context.Context, sink func([]*Message)) error {
	stop := context.AfterFunc(ctx, func() {
		j.queueMu.Lock()
		j.closed = true
		j.queueMu.Unlock()
		j.signal()
	})
	defer stop()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for g := range j.ready {
			g.finish(sink, j.watch)
		}
	}()
	j.write()
	close(j.ready)
	<-finished
	if err := j.storeIndex(); err != nil {
		j.o.Log.Warn("the log's index is not stored; the next start makes it again", "error", err)
	}
	return nil
}

// write is the writer: whatever waited while one commit ran is the next one.
func (j *Journal) write() {
	g := newGroup(j)
	for {
		ops, more, closed := j.take()
		if len(ops) > 0 {
			j.storeMuch()
			g.begin(ops)
			j.commit(g)
			j.ready <- outcome{ops, g.messages, g.amended}
			continue
		}
		if closed && !more {
			return
		}
		j.rest()
	}
}

// commit carries a group out in one transaction. Where the transaction fails,
// none of it happened and each change is told so.
func (j *Journal) commit(g *group) {
	err := g.run()
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.failed(err, len(g.ops))
		g.fail(err)
		return
	}
	j.worked()
	g.index()
	j.pos, j.lastTime = g.pos, g.now
	j.stats.Commits++
	j.stats.Changes += uint64(len(g.ops))
	j.stats.Messages += uint64(len(g.messages))
	j.stats.Refused += g.refused
	j.stats.Repeated += g.repeated
	j.stats.Rewritten += uint64(len(g.amended.Messages))
}

// storeMuch stores the index once it is worth it, in a transaction of its own:
// where it is damaged so that it takes nothing more, nobody is refused for that.
// All of it stays in memory then, where it is found as well, and is made again
// at a start; it is tried again when it has become twice as much.
func (j *Journal) storeMuch() {
	much := max(j.index.entries, len(j.index.refs))
	if much < j.hot && !j.unstored {
		return
	}
	j.unstored = false
	err := j.storeIndex()
	if err == nil {
		j.hot = hotEntries
		return
	}
	j.hot = max(hotEntries, 2*much)
	j.o.Log.Error("the log's index cannot be stored; it is kept in memory, and the next start makes it again", "error", err, "entries", much)
}

// storeIndex writes what is derived but in memory only, so that the next start
// reads little; while nothing can be stored, it reads more.
func (j *Journal) storeIndex() error {
	if j.index.empty() || j.Health() != nil {
		return nil
	}
	batch, err := j.o.Store.Begin(context.Background())
	if err != nil {
		return errors.Join(err, batch.Abort())
	}
	d := j.index.derived(j.pos)
	if err := batch.Derive(d); err != nil {
		return errors.Join(err, batch.Abort())
	}
	if err := batch.Commit(); err != nil {
		return errors.Join(err, batch.Abort())
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.index.stored()
	j.mark = d.Mark
	return nil
}

func newSalt() uint32 { return rand.Uint32() } //nolint:gosec // it tells epochs apart, and is no secret
