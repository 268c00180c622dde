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

func (q lifecycles) Sessions(ctx context.Context, of, upTo uint64, limit int) (list []lifecycle.Kept, err error) {
	err = q.rows(ctx, `SELECT id, gateway, topic, user_id, login_id, opened FROM lifecycle_sessions
		WHERE instance_id = ? AND id <= ? ORDER BY id LIMIT ?`, []any{of, upTo, limit}, func(scan func(...any) error) error {
		var k lifecycle.Kept
		var opened int64
		err := scan(&k.ID, &k.Gateway, &k.Topic, &k.User, &k.Login, &opened)
		k.Opened = fromMillis(opened)
		list = append(list, k)
		return err
	})
	return list, err
}

func (q lifecycles) LastSession(ctx context.Context, of uint64) (id uint64, err error) {
	_, err = q.row(ctx, "SELECT coalesce(max(id), 0) FROM lifecycle_sessions WHERE instance_id = ?", []any{of}, &id)
	return id, err
}

func (q lifecycles) AddSessions(ctx context.Context, of uint64, list []lifecycle.Kept) error {
	rows := make([][6]any, len(list))
	for i, k := range list {
		rows[i] = [6]any{k.ID, k.Gateway, k.Topic, k.User, k.Login, k.Opened.UnixMilli()}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `INSERT INTO lifecycle_sessions (instance_id, id, gateway, topic, user_id, login_id, opened)
		SELECT ?, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?)`, of, string(text))
	return err
}

func (q lifecycles) DropSessions(ctx context.Context, of uint64, ids []uint64) error {
	text, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, "DELETE FROM lifecycle_sessions WHERE instance_id = ? AND id IN (SELECT value FROM json_each(?))", of, string(text))
	return err
}
