package webhook

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// TestEvent is the name of the event that an endpoint is tried out with.
const TestEvent = "webhook.test"

// How many endpoints are tried out at once, each of them once: of all instances,
// and of one, so that it leaves room for the others.
const (
	maxTests   = 64
	maxTestsOf = 4
)

var errBusy = status.Errorf(status.TooMany, "TEST_UNDER_WAY", "this webhook is being tested, or %d others of its instance, or too many of all; try again when that is done", maxTestsOf)

// Test sends an event of no topic to a webhook, signed as any other and at once,
// whether it is enabled, on hold or neither, and returns what came back. It
// changes nothing of how the webhook stands.
func (s *Service) Test(ctx context.Context, id uint64) (Try, error) {
	row, ok, err := s.o.Store.Webhook(ctx, id)
	if err != nil || !ok {
		return Try{}, orNotFound(err)
	}
	var profile instance.Profile
	if row.Instance != 0 {
		i, err := s.o.Instances.Get(ctx, instance.ByID(row.Instance))
		if err != nil {
			return Try{}, err
		}
		profile = i.Profile()
	}
	data, err := json.Marshal(instance.EventData{Event: TestEvent, Instance: profile, Data: json.RawMessage(`{}`)})
	if err != nil {
		return Try{}, err
	}
	if row.Instance == 0 && s.o.Global == nil {
		return Try{}, ErrOfConfig
	}
	k, err := s.signerOf(row)
	if err != nil {
		return Try{}, err
	}
	if err := s.numbered(ctx); err != nil {
		return Try{}, err
	}
	if !s.testBegins(row.Webhook) {
		return Try{}, errBusy
	}
	defer s.testEnds(id)
	m := &journal.Message{ID: "test-" + rand.Text(), Kind: instance.KindEvent, Time: time.Now().UTC(), Data: data}
	t, _ := s.post(ctx, row.Webhook, k, m, Try{Cause: Tested, Attempt: 1})
	if ctx.Err() != nil {
		return Try{}, ctx.Err()
	}
	t.ID = s.note(id, t)
	return t, nil
}

func (s *Service) testBegins(h Webhook) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, is := s.testing[h.ID]; is || len(s.testing) >= maxTests {
		return false
	}
	own := 0
	for _, of := range s.testing {
		if of == h.Instance {
			own++
		}
	}
	if own >= maxTestsOf {
		return false
	}
	s.testing[h.ID] = h.Instance
	return true
}

func (s *Service) testEnds(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.testing, id)
}

// Now is how webhooks stand at this moment, all together.
type Now struct {
	Totals
	Behind uint64 // numbers that the enabled ones are still to be told, or to pass by
}

// Now is how webhooks stand at this moment.
func (s *Service) Now(ctx context.Context) (now Now, err error) {
	if now.Totals, err = s.o.Store.Totals(ctx); err != nil {
		return Now{}, err
	}
	s.mu.Lock()
	all := make([]*handle, 0, len(s.workers))
	for _, h := range s.workers {
		all = append(all, h)
	}
	s.mu.Unlock()
	for _, h := range all {
		head, err := s.o.Journal.Head(ctx, h.topic)
		if err != nil {
			return Now{}, err
		}
		at := h.at.Load()
		now.Behind += max(head, at) - at
	}
	return now, nil
}
