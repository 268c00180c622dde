package checker

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Kind is a way to break the promise.
type Kind int

// What can be found.
const (
	Lost    Kind = iota // acknowledged, and a receiver or the history is without it; or a hole in the numbers
	Doubled             // stored, or given to one receiver, twice
	Swapped             // in another order than it was said, or than another receiver saw
	Other               // anything else that the contract forbids
	kinds
)

func (k Kind) String() string { return [...]string{"lost", "doubled", "swapped", "other"}[k] }

// examples is how many findings of a kind are told; the others are counted.
const examples = 5

// GatewayReport is what came of one gateway.
type GatewayReport struct {
	Name      string
	Acked     int // messages that the server said were stored
	Delivered int // of these, how often one was seen by a receiver
	Receivers int // subscribers and readings of the history
	Resumes   int // connections that a receiver made beyond its first
	Found     [kinds]int
	Examples  []string
	Note      string // in words, "" for none
}

// Report is what came of a run.
type Report struct {
	Seed     uint64
	Kills    int            // and power cuts
	Struck   map[string]int // by trouble: how often
	Early    int            // more kills, of a server that was still starting
	Starts   int
	Slowest  time.Duration // from a start to ready
	Elapsed  time.Duration
	Gateways []GatewayReport
}

// Count is how much of a kind was found in all gateways.
func (r *Report) Count(k Kind) int {
	n := 0
	for _, g := range r.Gateways {
		n += g.Found[k]
	}
	return n
}

// Err is why the run does not pass, nil where it does.
func (r *Report) Err() error {
	var errs []error
	for _, g := range r.Gateways {
		for k := range kinds {
			if n := g.Found[k]; n > 0 {
				errs = append(errs, fmt.Errorf("%s: %d %s", g.Name, n, k))
			}
		}
		if g.Acked == 0 || g.Delivered == 0 {
			errs = append(errs, fmt.Errorf("%s: nothing was acknowledged and delivered, so nothing was checked", g.Name))
		}
	}
	return errors.Join(errs...)
}

// String is the report as a table.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s %9s %9s %9s %8s %6s %8s %8s %6s\n",
		"gateway", "acked", "delivered", "receivers", "resumes", Lost, Doubled, Swapped, Other)
	for _, g := range r.Gateways {
		fmt.Fprintf(&b, "%-8s %9d %9d %9d %8d %6d %8d %8d %6d\n", g.Name, g.Acked, g.Delivered, g.Receivers, g.Resumes,
			g.Found[Lost], g.Found[Doubled], g.Found[Swapped], g.Found[Other])
	}
	for _, t := range Troubles {
		if n := r.Struck[t]; n > 0 {
			fmt.Fprintf(&b, "%d× %s, ", n, t)
		}
	}
	fmt.Fprintf(&b, "%d more kills while starting, %d starts, the slowest ready after %v; %v in all; seed %d\n",
		r.Early, r.Starts, r.Slowest.Round(time.Millisecond), r.Elapsed.Round(100*time.Millisecond), r.Seed)
	for _, g := range r.Gateways {
		if g.Note != "" {
			fmt.Fprintf(&b, "%s: %s\n", g.Name, g.Note)
		}
	}
	for _, g := range r.Gateways {
		for _, e := range g.Examples {
			fmt.Fprintf(&b, "  %s\n", e)
		}
	}
	return b.String()
}

// findings collects what is found in one gateway.
type findings struct {
	name string      // static
	full atomic.Bool // its gateway has acknowledged what it was to
	sick atomic.Bool // the server cannot store, so that positions are not kept either

	mu       sync.Mutex
	found    [kinds]int    // guarded by mu
	examples []string      // guarded by mu
	moved    map[item]bool // guarded by mu; was refused for a while, and may stand behind what was said after it
}

// move notes that items were not stored when they were said first.
func (f *findings) move(items []item) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.moved == nil {
		f.moved = map[item]bool{}
	}
	for _, i := range items {
		f.moved[i] = true
	}
}

func (f *findings) isMoved(i item) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.moved[i]
}

func (f *findings) add(k Kind, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.found[k]++
	if f.found[k] <= examples {
		f.examples = append(f.examples, fmt.Sprintf("%s %s: ", f.name, k)+fmt.Sprintf(format, args...))
	}
}

// rest is how long publishers pause that have said enough.
func (f *findings) rest() time.Duration {
	if f.full.Load() {
		return 100 * time.Millisecond
	}
	return 0
}

func (f *findings) any() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.found != [kinds]int{}
}
