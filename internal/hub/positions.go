package hub

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// saveEvery is how long an acknowledged position may be in memory only, and
// saveMost how many are saved at once: where more move, they take their turns.
// One that is lost with the process makes its owner hear a little again.
const (
	saveEvery = time.Second
	saveMost  = 2000
)

// Collector takes acknowledged positions and keeps the newest of each owner,
// in one change a second for all, and none where nobody moves.
type Collector struct {
	store   Positions // static
	journal *journal.Journal
	log     *slog.Logger
	wake    chan struct{} // static; one place: something is to be saved

	mu     sync.Mutex
	acked  map[string]Acked // guarded by mu: not saved yet
	saving map[string]Acked // guarded by mu: on their way
}

// NewCollector makes a collector; Run saves.
func NewCollector(store Positions, j *journal.Journal, log *slog.Logger) *Collector {
	return &Collector{store: store, journal: j, log: log, wake: make(chan struct{}, 1), acked: map[string]Acked{}}
}

// Acked notes that owner has everything of its topic up to seq. It never moves
// back, and does not wait.
func (c *Collector) Acked(a Acked) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have, ok := c.acked[a.Owner]; ok && have.Topic == a.Topic && have.Seq >= a.Seq {
		return
	}
	if have, ok := c.saving[a.Owner]; ok && have.Topic == a.Topic && have.Seq >= a.Seq {
		return
	}
	c.acked[a.Owner] = a
	c.signal()
}

// signal has Run save. c.mu is held, so that what is there is said once.
func (c *Collector) signal() {
	if len(c.acked) == 0 {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Position is up to where owner has everything.
func (c *Collector) Position(ctx context.Context, owner string) (seq uint64, ok bool, err error) {
	c.mu.Lock()
	a, found := c.acked[owner]
	if !found {
		a, found = c.saving[owner]
	}
	c.mu.Unlock()
	seq, ok, err = c.store.Position(ctx, owner)
	if found { // what is stored may be ahead of what an older connection said since
		return max(a.Seq, seq), true, err
	}
	return seq, ok, err
}

// Under are the positions of owner and of owner/…, by name.
func (c *Collector) Under(ctx context.Context, owner string) ([]Acked, error) {
	all, err := c.store.PositionsUnder(ctx, owner)
	if err != nil {
		return nil, err
	}
	newer := func(a Acked) {
		i, found := slices.BinarySearchFunc(all, a.Owner, func(have Acked, name string) int { return strings.Compare(have.Owner, name) })
		switch {
		case !found:
			all = slices.Insert(all, i, a)
		case all[i].Topic != a.Topic || all[i].Seq < a.Seq:
			all[i] = a
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, waiting := range []map[string]Acked{c.saving, c.acked} {
		for name, a := range waiting {
			if name == owner || strings.HasPrefix(name, owner) && name[len(owner)] == '/' {
				newer(a)
			}
		}
	}
	return all, nil
}

// First gives an owner without a position one, durably: what is said from there
// on is kept for it. It returns the one that holds, which may be that of somebody
// who did the same at the same time.
func (c *Collector) First(ctx context.Context, a Acked) (seq uint64, err error) {
	_, err = c.journal.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		return nil, c.store.FirstPosition(tx, a)
	})).Wait(ctx)
	if err == nil {
		seq, _, err = c.Position(ctx, a.Owner)
	}
	return seq, err
}

// Begin moves an owner's position on, durably: what was said up to there is
// passed over.
func (c *Collector) Begin(ctx context.Context, a Acked) error {
	_, err := c.journal.Do(c.change([]Acked{a})).Wait(ctx)
	return err
}

func (c *Collector) change(acked []Acked) journal.Change {
	return journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		return nil, c.store.SavePositions(tx, acked)
	})
}

// Run saves until ctx ends, and then once more.
func (c *Collector) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			c.save(context.WithoutCancel(ctx), 0)
			return nil
		case <-c.wake:
		}
		select {
		case <-ctx.Done():
		case <-time.After(saveEvery):
			c.save(ctx, saveMost)
		}
	}
}

// save saves some of what is to be saved, at most most; 0 is all.
func (c *Collector) save(ctx context.Context, most int) {
	c.mu.Lock()
	if len(c.acked) == 0 {
		c.mu.Unlock()
		return
	}
	c.saving, c.acked = c.acked, map[string]Acked{}
	if most > 0 {
		for owner, a := range c.saving {
			if len(c.saving) <= most {
				break
			}
			delete(c.saving, owner)
			c.acked[owner] = a
		}
	}
	all := make([]Acked, 0, len(c.saving))
	for _, a := range c.saving {
		all = append(all, a)
	}
	c.mu.Unlock()
	_, err := c.journal.Do(c.change(all)).Wait(ctx)
	if err != nil && ctx.Err() == nil && status.Of(err).Code != status.Unavailable { // what cannot be stored the journal says, once
		c.log.Warn("acknowledged positions could not be saved; this is tried again", "error", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		for owner, a := range c.saving {
			if newer, ok := c.acked[owner]; !ok || newer.Topic == a.Topic && newer.Seq < a.Seq {
				c.acked[owner] = a
			}
		}
	}
	c.saving = nil
	c.signal()
}
