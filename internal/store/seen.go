package store

import (
	"context"
	"encoding/json"
	"time"
)

// Delivered looks at what a person's devices acknowledge: what a bot's socket
// has passed was never shown to anybody.
func (q chats) Delivered(ctx context.Context, user uint64) (seq uint64, err error) {
	_, err = q.row(ctx, `SELECT max(
		coalesce((SELECT max(seq) FROM positions WHERE topic = 'user/' || ?1 AND owner LIKE 'login/%' AND owner NOT LIKE '%/bot'), 0),
		coalesce((SELECT inbox FROM seen WHERE user_id = ?1), 0))`, []any{user}, &seq)
	return seq, err
}

// LastSeen also looks at what a server left behind that was killed: until when
// it is known to have run whom it did not see go, when a device last
// acknowledged something, and when a login was last used.
func (q chats) LastSeen(ctx context.Context, user uint64) (time.Time, error) {
	var at int64
	_, err := q.row(ctx, `SELECT max(
		coalesce((SELECT max(at, coalesce((SELECT alive FROM runs WHERE runs.run = seen.run), 0)) FROM seen WHERE user_id = ?1), 0),
		coalesce((SELECT max(at) FROM positions WHERE topic = 'user/' || ?1 AND owner LIKE 'login/%'), 0),
		coalesce((SELECT max(seen) FROM logins WHERE user_id = ?1), 0))`, []any{user}, &at)
	if at == 0 {
		return time.Time{}, err
	}
	return fromMillis(at), err
}

func (q chats) SetSeen(ctx context.Context, users []uint64, at time.Time, run int64) error {
	text, err := json.Marshal(users)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `INSERT INTO seen (user_id, at, inbox, run)
		SELECT id, ?, 0, ? FROM users WHERE id IN (SELECT value FROM json_each(?)) AND erased = 0
		ON CONFLICT (user_id) DO UPDATE SET at = max(at, excluded.at), run = excluded.run`, at.UnixMilli(), run, string(text))
	return err
}

func (q chats) SetAlive(ctx context.Context, run int64, at time.Time) error {
	_, err := q.exec(ctx, `INSERT INTO runs (run, alive) VALUES (?, ?)
		ON CONFLICT (run) DO UPDATE SET alive = max(alive, excluded.alive)`, run, at.UnixMilli())
	return err
}
