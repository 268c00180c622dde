package retention

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// Options says what to keep. Every is the time between two passes, 0 for a
// minute.
type Options struct {
	Journal *journal.Journal
	Store   Store
	Kinds   []Kind
	RefAge  time.Duration // what is remembered of keys, as the journal has it
	RefKeep int
	Every   time.Duration
	Log     *slog.Logger // nil: slog.Default()
}

// The times between what need not be done with each pass, and what a pass
// leaves to others: it waits so many times as long as the writer took.
const (
	eachRefs   = 10 * time.Minute
	eachOrphan = time.Hour
	yield      = 1
)

// Service sweeps. Make one with New; Run works.
type Service struct {
	o     Options
	rules []rule
	asked chan struct{} // somebody wants a pass now

	size, free, oldest atomic.Int64

	// owned by Run
	refs, orphans time.Time // when they were looked at last
	dirty         bool      // something was deleted since the write-ahead log was emptied
	rewritten     uint64    // rows of the journal that had been, then
}

// New makes a service for these policies.
func New(o Options) *Service {
	o.Every = cmp.Or(o.Every, time.Minute)
	o.RefAge = cmp.Or(o.RefAge, 24*time.Hour)
	o.RefKeep = cmp.Or(o.RefKeep, 1000)
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Service{o: o, asked: make(chan struct{}, 1)}
	for _, k := range o.Kinds {
		s.rules = append(s.rules, s.rulesOf(k)...)
	}
	return s
}

// Run makes a pass now and then, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.Pass(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.Warn("what is not kept any more could not be deleted; this is tried again", "error", err)
		}
		wait := time.NewTimer(s.o.Every)
		select {
		case <-ctx.Done():
		case <-s.asked:
			s.dirty = true
		case <-wait.C:
		}
		wait.Stop()
	}
	return nil
}

// Soon asks for a pass now: something has gone, or is to, and somebody waits
// until it is nowhere.
func (s *Service) Soon() {
	select {
	case s.asked <- struct{}{}:
	default:
	}
}

// Pass deletes all that is to go at this moment. One goroutine calls it.
func (s *Service) Pass(ctx context.Context) error {
	for i := range s.rules {
		if err := s.scan(ctx, &s.rules[i]); err != nil {
			return err
		}
	}
	for more := true; more; {
		began := time.Now()
		var err error
		if more, err = s.o.Journal.Sweep(ctx); err != nil {
			return err
		}
		s.dirty = s.dirty || more
		if more && !pause(ctx, yield*time.Since(began)) {
			return ctx.Err()
		}
	}
	if err := s.others(ctx); err != nil {
		return err
	}
	return s.look(ctx)
}

// others is what goes beside messages.
func (s *Service) others(ctx context.Context) error {
	if time.Since(s.refs) > eachRefs {
		if err := s.sweepRefs(ctx); err != nil {
			return err
		}
		s.refs = time.Now()
	}
	if time.Since(s.orphans) > eachOrphan {
		if err := s.sweepPositions(ctx); err != nil {
			return err
		}
		s.orphans = time.Now()
	}
	if n := s.o.Journal.Stats().Rewritten; n != s.rewritten {
		s.rewritten, s.dirty = n, true
	}
	if !s.dirty {
		return nil
	}
	done, err := s.o.Store.Truncate(ctx)
	s.dirty = !done
	return err
}

// look notes how much there is.
func (s *Service) look(ctx context.Context) error {
	size, free, err := s.o.Store.Size(ctx)
	if err != nil {
		return err
	}
	first, err := s.o.Journal.Scan(ctx, 0, 1)
	if err != nil {
		return err
	}
	s.size.Store(size)
	s.free.Store(free)
	if s.oldest.Store(0); len(first) > 0 && !first[0].Time.IsZero() {
		s.oldest.Store(first[0].Time.UnixMilli())
	}
	return nil
}

// Stats is how the data stood after the last pass.
type Stats struct {
	Bytes, Free int64     // of the database; Free is used again by what is said next
	Oldest      time.Time // of the oldest message that is kept; zero for none
}

// Stats is how the data stood after the last pass.
func (s *Service) Stats() Stats {
	st := Stats{Bytes: s.size.Load(), Free: s.free.Load()}
	if ms := s.oldest.Load(); ms != 0 {
		st.Oldest = time.UnixMilli(ms)
	}
	return st
}

// pause waits; false where ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
