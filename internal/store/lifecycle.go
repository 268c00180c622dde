package store

import (
	"context"
	"encoding/json"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/lifecycle"
)

// lifecycles is the lifecycle package's port, on a snapshot or inside a batch.
// It reads and writes many subjects in one statement: everybody comes at once.
type lifecycles struct{ queries }

type lifecycleStore struct{ lifecycles }

// Lifecycle is where the subjects of lifecycle events stand.
func (s *Store) Lifecycle() lifecycle.Store { return lifecycleStore{lifecycles{s.queries}} }

func (lifecycleStore) In(tx *journal.Tx) lifecycle.Tx { return lifecycles{In(tx).queries} }

func (q lifecycles) subjects(ctx context.Context, query string, args ...any) ([]lifecycle.Subject, error) {
	var list []lifecycle.Subject
	err := q.rows(ctx, query, args, func(scan func(...any) error) error {
		var s lifecycle.Subject
		var since int64
		err := scan(&s.Name, &s.Number, &s.Up, &since)
		s.Since = fromMillis(since)
		list = append(list, s)
		return err
	})
	return list, err
}

func (q lifecycles) Subjects(ctx context.Context, of uint64, names []string) ([]lifecycle.Subject, error) {
	text, err := json.Marshal(names)
	if err != nil {
		return nil, err
	}
	return q.subjects(ctx, "SELECT subject, number, up, since FROM lifecycle WHERE instance_id = ? AND subject IN (SELECT value FROM json_each(?))",
		of, string(text))
}

func (q lifecycles) Up(ctx context.Context, of uint64, after string, limit int) ([]lifecycle.Subject, error) {
	return q.subjects(ctx, "SELECT subject, number, up, since FROM lifecycle WHERE instance_id = ? AND up = 1 AND subject > ? ORDER BY subject LIMIT ?",
		of, after, limit)
}

func (q lifecycles) SetSubjects(ctx context.Context, of uint64, list []lifecycle.Subject) error {
	rows := make([][4]any, len(list))
	for i, s := range list {
		rows[i] = [4]any{s.Name, s.Number, s.Up, s.Since.UnixMilli()}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `INSERT INTO lifecycle (instance_id, subject, number, up, since)
		SELECT ?, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?) WHERE true
		ON CONFLICT (instance_id, subject) DO UPDATE SET number = excluded.number, up = excluded.up, since = excluded.since`, of, string(text))
	return err
}
