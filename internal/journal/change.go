package journal

import (
	"context"
	"sync"
	"time"
)

// Change is one thing to do: its checks, its rows and its messages. Apply runs
// on the one writer, alone; it reads and writes only through tx, must not wait
// for anything else, and returns the messages that it causes, which are the
// journal's from then on. Its error fails this change alone. tx is not to be
// used after it.
type Change interface {
	Apply(tx *Tx) ([]*Message, error)
}

// ChangeFunc is a function as a Change.
type ChangeFunc func(tx *Tx) ([]*Message, error)

// Apply calls f.
func (f ChangeFunc) Apply(tx *Tx) ([]*Message, error) { return f(tx) }

// All is one change made of several, all or none of which happen. Its messages
// are theirs, in their order.
func All(changes ...Change) Change {
	return ChangeFunc(func(tx *Tx) ([]*Message, error) {
		var all []*Message
		for _, c := range changes {
			ms, err := c.Apply(tx)
			if err != nil {
				return nil, err
			}
			all = append(all, ms...)
			tx.say(ms)
		}
		return all, nil
	})
}

// say counts what later changes of the same All find in front of theirs.
func (tx *Tx) say(ms []*Message) {
	if tx.said == nil {
		tx.said = map[string]uint64{}
	}
	for _, m := range ms {
		for _, e := range m.Entries {
			tx.said[e.Topic]++
		}
	}
}

// Caused is a change whose messages say how many processes in a row led to it.
func Caused(hops uint8, c Change) Change {
	return ChangeFunc(func(tx *Tx) ([]*Message, error) {
		ms, err := c.Apply(tx)
		for _, m := range ms {
			m.Hops = hops
		}
		return ms, err
	})
}

// Key names a change, so that doing it again does nothing: a client's ref in
// the scope of its login, an Idempotency-Key in the scope of its credential.
// The zero Key names nothing.
type Key struct {
	Scope, Ref string
}

// Result is what came of a change.
type Result struct {
	Messages []*Message // numbered and durable
	Repeated bool       // the key was known: these are the messages of the first time
}

// Tx is what a Change sees of the transaction that it runs in.
type Tx struct {
	batch Batch
	group *group
	now   time.Time
	said  map[string]uint64 // how many messages of this change, not numbered yet, enter a topic (see All)
	after []func()          // see After

	floors    []Entry    // see Raise
	rewritten []*Message // see Rewrite
	disowned  []Key      // see Disown
}

// Batch is the store's own side of the transaction; each core package finds
// its port by it.
func (tx *Tx) Batch() Batch { return tx.batch }

// Now is the time of the change, and of its messages.
func (tx *Tx) Now() time.Time { return tx.now }

// Head is the last number given in topic, 0 where nothing was said in it,
// with what earlier changes of the same transaction said.
func (tx *Tx) Head(topic string) (uint64, error) {
	head, err := tx.group.head(topic)
	return head + tx.said[topic], err
}

// Raise has topic begin at floor: what is before cannot be read any more, and
// its rows may go. A topic's beginning never moves back, and not past its head:
// its numbers go on.
func (tx *Tx) Raise(topic string, floor uint64) error {
	head, err := tx.Head(topic)
	if err != nil {
		return err
	}
	floor = min(floor, head+1)
	tx.floors = append(tx.floors, Entry{topic, floor})
	return tx.batch.Raise(topic, floor)
}

// Find is the committed message that id names, or ErrNoMessage.
func (tx *Tx) Find(id string) (*Message, error) { return find(context.Background(), tx.batch, id) }

// After leaves f to be called once the change is durable, and not at all where
// it did not happen: for what it tells and does not keep. Calls come in the
// order of the changes and before their Pending is done, on the journal's
// goroutine: f must not wait.
func (tx *Tx) After(f func()) { tx.after = append(tx.after, f) }

// Pending is a change that was handed over.
type Pending struct {
	// owned by the writer, then by the finisher
	change Change
	key    Key
	result Result
	err    error
	after  []func() // see Tx.After

	mu       sync.Mutex
	finished bool                // guarded by mu; from then on result and err are everybody's to read
	done     chan struct{}       // guarded by mu; made by the first who waits
	then     func(Result, error) // guarded by mu
}

// Wait waits until the change is durable or refused. Where ctx ends first the
// change may still happen.
func (p *Pending) Wait(ctx context.Context) (Result, error) {
	p.mu.Lock()
	if p.finished {
		p.mu.Unlock()
		return p.result, p.err
	}
	if p.done == nil {
		p.done = make(chan struct{})
	}
	done := p.done
	p.mu.Unlock()
	select {
	case <-done:
		return p.result, p.err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// Then leaves f to be called once, when the change is durable or refused. Calls
// come in the order of the changes, on the journal's goroutine: f must not wait.
// It is called at once where the change is done already.
func (p *Pending) Then(f func(Result, error)) {
	p.mu.Lock()
	if !p.finished {
		p.then = f
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	f(p.result, p.err)
}

func (p *Pending) finish() {
	p.mu.Lock()
	p.finished, p.change, p.after = true, nil, nil
	f := p.then
	if p.done != nil {
		close(p.done)
	}
	p.mu.Unlock()
	if f != nil {
		f(p.result, p.err)
	}
}
