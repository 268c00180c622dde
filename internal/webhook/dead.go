package webhook

import (
	"context"
	"errors"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// The bounds of what is dead, so that a receiver that is never well fills no
// disk. What went of it is counted in its webhook.
const (
	keptDead  = 1000                // entries of one webhook: as many as are replayed at once
	deadLast  = 30 * 24 * time.Hour // after its first try
	sweptLast = 7 * 24 * time.Hour  // the same, of what cannot be read any more: who looks now and then is to see it
)

// deadBound says what of a webhook's dead entries is kept.
func (s *Service) deadBound(ctx context.Context, row Row) (DeadBound, error) {
	floor, err := s.o.Journal.Floor(ctx, topicOf(row.Webhook))
	if errors.Is(err, journal.ErrDamaged) {
		floor, err = 0, nil // nobody can say what is swept: what is too old or too much goes
	}
	now := time.Now()
	return DeadBound{Keep: keptDead, Oldest: now.Add(-deadLast), Swept: now.Add(-sweptLast), Floor: floor}, err
}

// trimDead drops what was dead for too long, or is too much. Where there is
// nothing of it, nothing is written.
func (s *Service) trimDead(ctx context.Context, rows []Row) error {
	for _, row := range rows {
		n, err := s.o.Store.CountKept(ctx, row.ID, Dead)
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		b, err := s.deadBound(ctx, row)
		if err != nil {
			return err
		}
		over, err := s.o.Store.DeadOver(ctx, row.ID, b)
		if err != nil {
			return err
		}
		if over == 0 {
			continue
		}
		err = s.change(ctx, func(_ *journal.Tx, t Tx) error { return t.TrimDead(background, row.ID, b) })
		if err != nil {
			return err
		}
		s.o.Log.Info("dead events of a webhook are not kept any more", "webhook", row.ID, "numbers", over)
		if err := wait(ctx, time.Now().Add(trimPause)); err != nil {
			return err
		}
	}
	return nil
}
