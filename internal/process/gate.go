package process

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// The bounds of one process, of all its connections and events together.
const (
	maxCalls   = 32  // that are under way
	maxWaiting = 512 // runs that wait to make one; another is out of time at once

	// What its runs may do that were caused by processes: a second's share, and
	// how much of it can be saved up. Every connection hears what is said to
	// all, so that what answers itself would become more with each turn.
	causedRate  = 100
	causedBurst = 500
)

// gate holds the places of one process's runs, so that it takes no other's.
type gate struct {
	cpu   chan struct{} // held while expressions run
	calls chan struct{} // held while a call is under way

	waiting atomic.Int32 // for a place in calls

	mu     sync.Mutex
	tokens float64   // guarded by mu
	filled time.Time // guarded by mu
	logged time.Time // guarded by mu; when a failure was logged last
	silent int       // guarded by mu; failures since then

}

func newGate() *gate {
	return &gate{
		cpu: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), calls: make(chan struct{}, maxCalls),
		tokens: causedBurst, filled: time.Now(),
	}
}

// enter waits for a place.
func enter(ctx context.Context, places chan struct{}) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enterCall waits for a place of a call, but not behind too many: each who waits
// holds all that its run has made. One that is patient waits behind any number.
func (g *gate) enterCall(ctx context.Context, patient bool) error {
	n := g.waiting.Add(1)
	defer g.waiting.Add(-1)
	if n > maxWaiting && !patient {
		return errCrowded
	}
	return enter(ctx, g.calls)
}

func leave(places chan struct{}) { <-places }

// caused says whether n more things may be done that a process caused.
func (g *gate) caused(n int, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tokens = min(causedBurst, g.tokens+now.Sub(g.filled).Seconds()*causedRate)
	g.filled = now
	if g.tokens < float64(n) {
		return false
	}
	g.tokens -= float64(n)
	return true
}

// tellable says whether a failure is to be logged, and how many were not since
// the last one: a process that fails at each frame fills no disk.
func (g *gate) tellable(now time.Time) (more int, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Sub(g.logged) < time.Second {
		g.silent++
		return 0, false
	}
	more, g.silent, g.logged = g.silent, 0, now
	return more, true
}
