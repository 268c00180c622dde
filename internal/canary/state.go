package canary

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// believed is how many failures in a row are more than bad luck.
const believed = 2

// Buckets are the bounds of the times that are counted, in seconds.
var Buckets = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}

// state is how a gateway's canary is.
type state struct {
	failures int // in a row
	since    time.Time
	reason   error
	times
}

// times are how long it took from saying to hearing.
type times struct {
	count   uint64
	sum     float64
	buckets [12]uint64 // as Buckets, each with those before it
}

// Stat is how a gateway's canary is.
type Stat struct {
	Gateway string
	OK      bool
	Count   uint64             // of the times that it arrived
	Sum     float64            // of how long they took, in seconds
	Buckets map[float64]uint64 // how many took no longer than so many seconds
}

// note takes what came of one time.
func (b *bird) note(err error, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.state
	s.reason = err
	if err != nil {
		if s.failures++; s.failures == 1 {
			s.since = time.Now()
		}
		return
	}
	s.failures = 0
	s.count++
	s.sum += took.Seconds()
	for i, bound := range Buckets {
		if took.Seconds() <= bound {
			s.buckets[i]++
		}
	}
}

// Failing is which gateways do not deliver and why, and since when the first of
// them does not; nil where all do. A nil Canary finds nothing.
func (c *Canary) Failing() (since time.Time, why error) {
	var all []string
	birds := c.sorted()
	same, first := 0, "" // those that fail as the first one does
	for _, b := range birds {
		b.mu.Lock()
		if s := b.state; s.failures >= believed {
			all = append(all, fmt.Sprintf("%s (since %s): %v", b.Name, s.since.UTC().Format(time.RFC3339), s.reason))
			if since.IsZero() || s.since.Before(since) {
				since = s.since
			}
			if first == "" {
				first = s.reason.Error()
			}
			if s.reason.Error() == first {
				same++
			}
		}
		b.mu.Unlock()
	}
	if all != nil {
		if same == len(birds) && same > 1 {
			all = []string{fmt.Sprintf("all gateways (since %s): %s", since.UTC().Format(time.RFC3339), first)}
		}
		why = errors.New("what is said does not arrive by " + strings.Join(all, "; "))
	}
	return since, why
}

// Stats is how each gateway's canary is.
func (c *Canary) Stats() []Stat {
	var all []Stat
	for _, b := range c.sorted() {
		b.mu.Lock()
		s := b.state
		b.mu.Unlock()
		stat := Stat{Gateway: b.Name, OK: s.failures < believed, Count: s.count, Sum: s.sum, Buckets: map[float64]uint64{}}
		for i, bound := range Buckets {
			stat.Buckets[bound] = s.buckets[i]
		}
		all = append(all, stat)
	}
	return all
}

func (c *Canary) sorted() (all []*bird) {
	if c == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(c.birds)) {
		all = append(all, c.birds[name])
	}
	return all
}
