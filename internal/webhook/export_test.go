package webhook

import (
	"context"

	"github.com/kabar-io/kabar/internal/journal"
)

// ChangeAs writes a webhook's row as its worker would that knows a version of it.
func (s *Service) ChangeAs(ctx context.Context, id, version uint64) error {
	w := &worker{s: s, id: id, version: version}
	return w.change(ctx, func(_ Tx, row *Row) error {
		row.Error = "changed"
		return nil
	})
}

// ErrOutdated is what such a worker gets where the row is another.
var ErrOutdated = errOutdated

// Bump makes a webhook's row another version, and tells nobody.
func (s *Service) Bump(ctx context.Context, id uint64) error {
	return s.change(ctx, func(_ *journal.Tx, t Tx) error {
		row, _, err := t.Webhook(ctx, id)
		if err != nil {
			return err
		}
		row.Version++
		return t.SetWebhook(ctx, row)
	})
}
