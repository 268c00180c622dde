package webhook

import "context"

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
