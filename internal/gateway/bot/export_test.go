package bot

import (
	"context"
	"time"
)

// SetAccessHold sets how long an answer holds that somebody may use an endpoint.
func (g *Gateway) SetAccessHold(d time.Duration) { g.accessHold = d }

// Idle waits until everything that was said has reached the connections' turns,
// and nothing waits there.
func (g *Gateway) Idle(ctx context.Context) error {
	g.mu.Lock()
	lanes := make([]*lane, 0, len(g.lanes))
	for _, l := range g.lanes {
		lanes = append(lanes, l)
	}
	g.mu.Unlock()
	for _, l := range lanes {
		for _, s := range l.sockets() {
			if err := s.idle(ctx); err != nil {
				return err
			}
		}
	}
	// Of those that have left, the disconnect triggers: they hold an executor.
	return until(ctx, func() bool {
		for _, l := range lanes {
			l.mu.Lock()
			busy := l.running > 0 || l.checking
			l.mu.Unlock()
			if busy {
				return false
			}
		}
		return true
	})
}

func (s *socket) idle(ctx context.Context) error {
	s.hearing.mu.Lock()
	ears := make([]*ear, 0, len(s.hearing.ears))
	for _, e := range s.hearing.ears {
		ears = append(ears, e)
	}
	s.hearing.mu.Unlock()
	for _, e := range ears {
		head, err := s.g.o.Journal.Head(ctx, e.session.Topic)
		if err != nil {
			return err
		}
		if err := until(ctx, func() bool { return e.session.Position() >= head || s.isGone() }); err != nil {
			return err
		}
		for range 2 { // what is told and not kept was handed over when the shard has answered twice
			if _, err := s.g.o.Edge.Hub.Presence(ctx, e.session.Topic); err != nil {
				return err
			}
		}
	}
	return until(ctx, func() bool {
		s.turns.mu.Lock()
		defer s.turns.mu.Unlock()
		return !s.turns.busy && !s.turns.waits()
	})
}

func (s *socket) isGone() bool {
	s.turns.mu.Lock()
	defer s.turns.mu.Unlock()
	return s.turns.gone
}

func until(ctx context.Context, done func() bool) error {
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// Start runs f as a lane does.
func (g *Gateway) Start(f func()) bool { return g.start(f) }
