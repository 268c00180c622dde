package store

import (
	"context"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
)

// Position is up to where an owner has everything, ok false where it never said.
func (s *Store) Position(ctx context.Context, owner string) (seq uint64, ok bool, err error) {
	ok, err = s.row(ctx, "SELECT seq FROM positions WHERE owner = ?", []any{owner}, &seq)
	return seq, ok, err
}

// PositionsUnder are the positions of owner and of owner/…, by name.
func (s *Store) PositionsUnder(ctx context.Context, owner string) ([]hub.Acked, error) {
	var all []hub.Acked
	// '0' is what follows '/'.
	err := s.rows(ctx, "SELECT owner, topic, seq FROM positions WHERE owner = ?1 OR owner > ?1 || '/' AND owner < ?1 || '0' ORDER BY owner", []any{owner},
		func(scan func(...any) error) error {
			var a hub.Acked
			err := scan(&a.Owner, &a.Topic, &a.Seq)
			all = append(all, a)
			return err
		})
	return all, err
}

// FirstPosition keeps a position for an owner that has none.
func (s *Store) FirstPosition(tx *journal.Tx, a hub.Acked) error {
	_, err := In(tx).exec(background, "INSERT INTO positions (owner, topic, seq, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
		a.Owner, a.Topic, int64(a.Seq), tx.Now().UnixMilli())
	return err
}

// SavePositions writes positions; an owner's topic may change, its position in
// one topic never moves back.
func (s *Store) SavePositions(tx *journal.Tx, acked []hub.Acked) error {
	t := In(tx)
	for _, a := range acked {
		if _, err := t.exec(background, `INSERT INTO positions (owner, topic, seq, at) VALUES (?, ?, ?, ?)
			ON CONFLICT (owner) DO UPDATE SET topic = excluded.topic, at = excluded.at,
			seq = CASE WHEN topic = excluded.topic THEN max(seq, excluded.seq) ELSE excluded.seq END`,
			a.Owner, a.Topic, int64(a.Seq), tx.Now().UnixMilli()); err != nil {
			return err
		}
	}
	return nil
}
