package relay

import (
	"context"
	"sync"
)

// turns let each of many do something one at a time.
type turns struct {
	mu   sync.Mutex
	busy map[uint64]chan struct{} // guarded by mu: who is at it; closed when they have done
}

func newTurns() *turns { return &turns{busy: map[uint64]chan struct{}{}} }

// take waits until nobody of this id is at it, in bounded time; over, which is
// for the next one, is called once.
func (t *turns) take(ctx context.Context, id uint64) (over func(), ok bool) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	for {
		done := make(chan struct{})
		before := t.enter(id, done)
		if before == nil {
			return func() { t.leave(id, done) }, true
		}
		select {
		case <-before:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// enter notes that somebody is at it, or returns the end of who is.
func (t *turns) enter(id uint64, done chan struct{}) (before chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if before = t.busy[id]; before == nil {
		t.busy[id] = done
	}
	return before
}

func (t *turns) leave(id uint64, done chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.busy, id)
	close(done)
}
