package canary

import (
	"errors"
	"fmt"
	"maps"
	"slices"
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

// note takes what came of one time. It returns why delivery is believed to
// fail from now on, and since when it did where it is well again; "" where
// nothing has changed.
func (b *bird) note(err error, took time.Duration) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.state
	if err != nil {
		if s.failures++; s.failures == 1 {
			s.since = time.Now()
		}
		s.reason = err
		if s.failures == believed {
			return err.Error()
		}
		return ""
	}
	failed := s.failures
	s.failures, s.reason = 0, nil
	s.count++
	s.sum += took.Seconds()
	for i, bound := range Buckets {
		if took.Seconds() <= bound {
			s.buckets[i]++
		}
	}
	if failed >= believed {
		return time.Since(s.since).Round(time.Second).String()
	}
	return ""
}

// Health is which gateways do not deliver, since when and why; nil where all
// do. A nil Canary finds nothing.
func (c *Canary) Health() error {
	var all []error
	for _, b := range c.sorted() {
		b.mu.Lock()
		if s := b.state; s.failures >= believed {
			all = append(all, fmt.Errorf("%s, since %s: %w", b.Name, s.since.UTC().Format(time.RFC3339), s.reason))
		}
		b.mu.Unlock()
	}
	return errors.Join(all...)
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
