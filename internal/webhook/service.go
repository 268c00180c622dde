package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/sign"
	"github.com/kabar-io/kabar/internal/status"
)

// What a caller may learn.
var (
	ErrNotFound   = status.Errorf(status.NotFound, "WEBHOOK_NOT_FOUND", "this instance has no webhook; make one with PUT /webhook/set/<instance>")
	ErrNoID       = status.Errorf(status.NotFound, ErrNotFound.Reason, "there is no webhook with this id; GET /v1/webhooks lists those that there are")
	ErrURLInvalid = status.Errorf(status.Invalid, "URL_INVALID", "url is not one that events can be posted to")
	ErrTooMany    = status.Errorf(status.Conflict, "TOO_MANY_WEBHOOKS", "an instance may have %d webhooks; delete one first", maxEndpoints)
	ErrOfConfig   = status.Errorf(status.Conflict, "WEBHOOK_OF_CONFIGURATION", "this webhook is set in the configuration; change it there")
)

// Options says what webhooks stand on. Zero values are the defaults named.
type Options struct {
	Journal   *journal.Journal
	Store     Store
	Hub       *hub.Hub
	Acked     *hub.Collector
	Instances *instance.Service
	Sender    Sender
	Key       []byte         // the data folder's, 32 bytes or more: secrets are sealed under one derived from it
	Global    *GlobalOptions // the webhook of all instances' events, which needs instance.Options.All; nil: none

	Version string        // as receivers see it; "dev"
	Attempt time.Duration // how long one try may take; 15 s
	Log     *slog.Logger  // slog.Default()
}

// GlobalOptions is the webhook that gets every instance's events.
type GlobalOptions struct {
	URL    string
	Secret string   // whsec_…
	Events []string // nil for all
}

func (o *Options) validate() error {
	if o.Journal == nil || o.Store == nil || o.Hub == nil || o.Acked == nil || o.Instances == nil || o.Sender == nil {
		return errors.New("webhook: a journal, a store, a hub, a collector, instances and a sender are needed")
	}
	if len(o.Key) < 32 {
		return fmt.Errorf("webhook: the key has %d bytes and needs 32", len(o.Key))
	}
	if o.Attempt < 0 {
		return errors.New("webhook: a try's time is below zero")
	}
	if o.Attempt == 0 {
		o.Attempt = 15 * time.Second
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if g := o.Global; g != nil {
		if err := CheckURL(g.URL); err != nil {
			return fmt.Errorf("webhook: the webhook of all instances: %w", err)
		}
		if err := sign.Check(g.Secret); err != nil {
			return fmt.Errorf("webhook: the webhook of all instances: %w", err)
		}
		for _, name := range g.Events {
			if err := o.Instances.Names().Check(name); err != nil {
				return fmt.Errorf("webhook: the webhook of all instances: %w", err)
			}
		}
	}
	return nil
}

// Service is the webhooks.
type Service struct {
	// static
	o      Options
	sealer sealer
	wake   chan struct{} // one place: changed has something
	counts counts
	log    tryLog

	mu      sync.Mutex
	changed map[uint64]struct{} // guarded by mu: webhooks that Run is to look at
	workers map[uint64]*handle  // guarded by mu: of the worker that a webhook has now
	testing map[uint64]uint64   // guarded by mu: webhooks that are tried out, and whose they are
}

type counts struct {
	delivered, failed, parked, died, holds, replayed atomic.Int64
}

// Stats is what was done since the start.
type Stats struct {
	Delivered int64 // tries that were answered with 2xx
	Failed    int64 // tries that were not
	Parked    int64 // events that were refused alone
	Dead      int64 // times that something ran out of tries
	Holds     int64 // times that an endpoint went on hold
	Replayed  int64 // events that were told again, because somebody asked for it
	Unlogged  int64 // tries that the delivery log lacks, because there were too many at once
}

// New makes the service. Run delivers.
func New(o Options) (*Service, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Service{o: o, wake: make(chan struct{}, 1), changed: map[uint64]struct{}{}, workers: map[uint64]*handle{}, testing: map[uint64]uint64{}}
	s.log.wake, s.log.since = make(chan struct{}, 1), map[uint64]int{}
	var err error
	s.sealer, err = newSealer(o.Key)
	return s, err
}

// Stats is what was done since the start.
func (s *Service) Stats() Stats {
	c := &s.counts
	return Stats{c.delivered.Load(), c.failed.Load(), c.parked.Load(), c.died.Load(), c.holds.Load(), c.replayed.Load(), s.log.lost.Load()}
}

// background is for what runs inside a change, which waits for nobody.
var background = context.Background()

// change hands a change over and waits for it to its end, so that what follows
// from it is done. It says nothing to anybody.
func (s *Service) change(ctx context.Context, f func(tx *journal.Tx, t Tx) error) error {
	return s.o.Journal.Finish(ctx, journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		return nil, f(tx, s.o.Store.In(tx))
	}))
}

// look makes Run look at a webhook again. It does not wait.
func (s *Service) look(id uint64) {
	s.mu.Lock()
	s.changed[id] = struct{}{}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// outdated ends the worker that knows a webhook as it was: what is said from
// here on is told by one that knows it as it is.
func (s *Service) outdated(id uint64) {
	s.mu.Lock()
	h := s.workers[id]
	s.mu.Unlock()
	if h != nil {
		h.cancel()
	}
	s.look(id)
}

func (s *Service) taken() map[uint64]struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.changed
	s.changed = map[uint64]struct{}{}
	return all
}

// topicOf is the topic that a webhook hears.
func topicOf(w Webhook) string {
	if w.Instance == 0 {
		return instance.AllTopic
	}
	return instance.Topic(w.Instance)
}

// positionOwner owns the kept position of a webhook in its topic.
func positionOwner(id uint64) string { return "webhook/" + strconv.FormatUint(id, 10) }

// stored is a time cut to what the store keeps, so that a row read back is the same.
func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
