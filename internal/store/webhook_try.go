package store

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/kabar-io/kabar/internal/webhook"
)

func (q webhooks) DropOldSecret(ctx context.Context, id uint64, now time.Time) error {
	_, err := q.exec(ctx, "UPDATE webhooks SET old_secret = x'' WHERE id = ? AND old_until <= ?", id, now.UnixMilli())
	return err
}

// AddTries is one statement for all of them: a thousand endpoints may have been
// tried since the last time.
func (q webhooks) AddTries(ctx context.Context, rows []webhook.TryRow, taken map[uint64]time.Time) error {
	if len(rows) > 0 {
		b := []byte{'['}
		for i, r := range rows {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(strconv.AppendUint(append(b, '['), r.Webhook, 10), ',')
			b = append(strconv.AppendUint(b, r.ID, 10), ',')
			b = append(strconv.AppendUint(b, uint64(r.Verdict), 10), ',')
			b = append(append(b, r.Text...), ']')
		}
		if _, err := q.exec(ctx, `INSERT OR IGNORE INTO webhook_tries (webhook_id, id, verdict, try)
			SELECT value ->> 0, value ->> 1, value ->> 2, value -> 3 FROM json_each(?)
			WHERE EXISTS (SELECT 1 FROM webhooks WHERE webhooks.id = value ->> 0)`, string(append(b, ']'))); err != nil {
			return err
		}
	}
	if len(taken) == 0 {
		return nil
	}
	at := make([][2]int64, 0, len(taken))
	for id, t := range taken {
		at = append(at, [2]int64{int64(id), t.UnixMilli()})
	}
	list, err := json.Marshal(at)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `UPDATE webhooks SET last_taken = max(last_taken, t.at)
		FROM (SELECT value ->> 0 AS id, value ->> 1 AS at FROM json_each(?)) AS t WHERE webhooks.id = t.id`, string(list))
	return err
}

func (q webhooks) TrimTries(ctx context.Context, ids []uint64, keep int, oldest uint64) error {
	if len(ids) == 0 {
		return nil
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `DELETE FROM webhook_tries WHERE (webhook_id, id) IN (
		SELECT t.webhook_id, t.id FROM json_each(?) AS w JOIN webhook_tries AS t ON t.webhook_id = w.value
		WHERE t.id < ? OR t.id <= (SELECT n.id FROM webhook_tries AS n WHERE n.webhook_id = w.value ORDER BY n.id DESC LIMIT 1 OFFSET ?))`,
		string(list), int64(oldest), keep)
	return err
}

func (q webhooks) Tries(ctx context.Context, id uint64, which webhook.TryQuery) (list []webhook.TryRow, err error) {
	query, args := "SELECT id, verdict, try FROM webhook_tries WHERE webhook_id = ?", []any{id}
	if which.Before > 0 {
		query, args = query+" AND id < ?", append(args, int64(which.Before))
	}
	if which.Verdict != nil {
		query, args = query+" AND verdict = ?", append(args, *which.Verdict)
	}
	err = q.rows(ctx, query+" ORDER BY id DESC LIMIT ?", append(args, which.Limit), func(scan func(...any) error) error {
		r := webhook.TryRow{Webhook: id}
		err := scan(&r.ID, &r.Verdict, &r.Text)
		list = append(list, r)
		return err
	})
	return list, err
}
