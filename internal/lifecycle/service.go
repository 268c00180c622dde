package lifecycle

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
)

// Options says what lifecycle events stand on.
type Options struct {
	Journal   *journal.Journal
	Store     Store
	Instances *instance.Service
	Instance  string // the name of the instance whose events they are; "": nobody asks
	// Each calls f soon for every topic that somebody hears, from any
	// goroutine, without waiting (see hub.Hub.EachOccupied).
	Each func(f func(topic string))
	// Open calls f for every client's session that is open (see gateway.Open).
	Open func(f func(key *hub.Session, s Session))

	Settle time.Duration // how long a topic was empty when Occupied says so
	// Return is how long whoever was there may take to come back to a server
	// that was started again, where so many are missing.
	Return func(missing int) time.Duration
	Log    *slog.Logger // nil: slog.Default()
}

// The bounds of what is said at once, and of what waits for it. States have no
// bound but the number of subjects.
const (
	pace     = 200 * time.Millisecond // between two changes: many come and go at once
	perGroup = 512                    // events in a change, and sessions kept: others wait for it

	MaxWaiting = 1 << 16 // closed sessions; more are not said
)

// Service says who and what comes and goes.
type Service struct {
	// static
	o    Options
	wake chan struct{} // one place: there is something to do

	on    atomic.Bool // there is the instance, or may be: Run has not looked yet
	stats stats
	rows  rows // owned by Run

	mu       sync.Mutex
	look     bool                // guarded by mu: whether there is the instance is to be found out
	stopping bool                // guarded by mu: who goes now may be back at the next start
	news     map[string]state    // guarded by mu: the newest of each subject, not said yet
	closed   []Closed            // guarded by mu: not said yet
	missing  map[string]struct{} // guarded by mu: was there before the start, and not seen since
	open     open                // guarded by mu
}

// state is that a subject came or went.
type state struct {
	here   bool
	at     time.Time
	reason string
}

type stats struct{ said, dropped atomic.Uint64 }

// Stats is what a service said so far.
type Stats struct {
	Said    uint64 // events
	Dropped uint64 // closed sessions that were not said (see MaxWaiting)
}

// New makes the service. It starts nothing.
func New(o Options) (*Service, error) {
	if o.Journal == nil || o.Store == nil || o.Instances == nil {
		return nil, errors.New("lifecycle: a journal, a store and instances are needed")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Service{o: o, wake: make(chan struct{}, 1), look: true, news: map[string]state{}, missing: map[string]struct{}{}, open: newOpen()}
	s.on.Store(o.Instance != "")
	return s, nil
}

// Made takes that an instance was made: it may be the one. It does not wait.
func (s *Service) Made(name string) {
	if name != s.o.Instance || name == "" {
		return
	}
	s.mu.Lock()
	s.look = true
	s.on.Store(true)
	s.mu.Unlock()
	s.signal()
}

// Occupied takes what the hub says of a topic (hub.Options.Occupied). It does
// not wait.
func (s *Service) Occupied(topic string, here bool) {
	if !s.on.Load() || userOf(topic) == 0 && !told(topic) {
		return
	}
	now := state{here: here, at: time.Now()}
	if !here {
		now.at, now.reason = now.at.Add(-s.o.Settle), Left
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if was, known := s.news[topic]; s.stopping || known && was.here == here {
		return
	}
	delete(s.missing, topic)
	s.news[topic] = now
	s.signal()
}

// Wants says whether closed sessions are said. A nil Service wants none.
func (s *Service) Wants() bool { return s != nil && s.on.Load() }

// Stopping takes that the server is about to close all sessions. That they went
// is said by the next start, if they do not come back to it; what they were
// closed with is said before Run ends.
func (s *Service) Stopping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
}

// Stats is what was said so far.
func (s *Service) Stats() Stats { return Stats{s.stats.said.Load(), s.stats.dropped.Load()} }

func (s *Service) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
