package retention

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// slice is how many small rows are deleted in one change.
const slice = 500

// sweepRefs forgets the keys that are too old, and of each scope all but the
// newest. They are read in their order, so that one scope is known at a time.
func (s *Service) sweepRefs(ctx context.Context) error {
	limit := time.Now().Add(-s.o.RefAge)
	var scope []journal.Ref // the newest of the one that is being read
	var gone []journal.Ref
	trim := func() {
		if over := len(scope) - s.o.RefKeep; over > 0 {
			slices.SortFunc(scope, func(a, b journal.Ref) int { return cmp.Compare(a.Pos, b.Pos) })
			gone = append(gone, scope[:over]...)
			scope = slices.Delete(scope, 0, over)
		}
	}
	var after journal.Key
	for {
		refs, err := s.o.Store.Refs(ctx, after, 4*slice)
		if err != nil {
			return err
		}
		for _, r := range refs {
			if r.Scope != after.Scope {
				trim()
				scope = scope[:0]
			}
			if after = r.Key; r.At.Before(limit) {
				gone = append(gone, r)
			} else {
				scope = append(scope, r)
			}
		}
		trim() // of what is read of a scope no more is in memory than it may keep, and a page
		for part := range slices.Chunk(gone, slice) {
			if err := s.drop(ctx, func(tx *journal.Tx) error { return s.o.Store.DropRefs(tx, part) }); err != nil {
				return err
			}
		}
		if gone = gone[:0]; len(refs) < 4*slice {
			return nil
		}
	}
}

// sweepPositions forgets where logins, consumers, webhooks and processes were
// that are no more.
func (s *Service) sweepPositions(ctx context.Context) error {
	for after := ""; ; {
		gone, last, err := s.o.Store.Orphans(ctx, after, 4*slice)
		if err != nil {
			return err
		}
		for part := range slices.Chunk(gone, slice) {
			if err := s.drop(ctx, func(tx *journal.Tx) error { return s.o.Store.DropPositions(tx, part) }); err != nil {
				return err
			}
		}
		if after = last; last == "" {
			return nil
		}
	}
}

// drop deletes one slice.
func (s *Service) drop(ctx context.Context, f func(tx *journal.Tx) error) error {
	s.dirty = true
	return s.change(ctx, f)
}

// change has the writer do something, and leaves it to others for a while.
func (s *Service) change(ctx context.Context, f func(tx *journal.Tx) error) error {
	began := time.Now()
	_, err := s.o.Journal.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) { return nil, f(tx) })).Wait(ctx)
	if err != nil {
		return err
	}
	if !pause(ctx, yield*time.Since(began)) {
		return ctx.Err()
	}
	return nil
}
