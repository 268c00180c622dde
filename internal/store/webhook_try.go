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
func (q webhooks) AddTries(ctx context.Context, rows []webhook.TryRow, now time.Time, taken map[uint64]time.Time) error {
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
		if _, err := q.exec(ctx, `INSERT OR IGNORE INTO webhook_tries (webhook_id, id, verdict, try, at)
			SELECT value ->> 0, value ->> 1, value ->> 2, value -> 3, ? FROM json_each(?)
			WHERE EXISTS (SELECT 1 FROM webhooks WHERE webhooks.id = value ->> 0)`, now.UnixMilli(), string(append(b, ']'))); err != nil {
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

func (q webhooks) TrimTries(ctx context.Context, ids []uint64, keep int, oldest time.Time) error {
	if len(ids) == 0 {
		return nil
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `DELETE FROM webhook_tries WHERE (webhook_id, id) IN (
		SELECT t.webhook_id, t.id FROM json_each(?) AS w JOIN webhook_tries AS t ON t.webhook_id = w.value
		WHERE t.at < ? OR t.id <= (SELECT n.id FROM webhook_tries AS n WHERE n.webhook_id = w.value ORDER BY n.id DESC LIMIT 1 OFFSET ?))`,
		string(list), oldest.UnixMilli(), keep)
	return err
}

// LastTry looks for each webhook's last: there is an index of those, and none of all.
func (q webhooks) LastTry(ctx context.Context) (id uint64, err error) {
	_, err = q.row(ctx, "SELECT ifnull(max((SELECT max(id) FROM webhook_tries WHERE webhook_id = webhooks.id)), 0) FROM webhooks", nil, &id)
	return id, err
}

// deadOver are the rows that a bound does not keep.
const deadOver = ` FROM webhook_kept WHERE webhook_id = ?1 AND state = 1 AND (since < ?2 OR last < ?3 AND since < ?4
	OR first <= (SELECT n.first FROM webhook_kept AS n WHERE n.webhook_id = ?1 AND n.state = 1 ORDER BY n.first DESC LIMIT 1 OFFSET ?5))`

func deadOverArgs(id uint64, b webhook.DeadBound) []any {
	return []any{id, b.Oldest.UnixMilli(), int64(b.Floor), b.Swept.UnixMilli(), b.Keep}
}

func (q webhooks) DeadOver(ctx context.Context, id uint64, b webhook.DeadBound) (n uint64, err error) {
	_, err = q.row(ctx, "SELECT ifnull(sum(last - first + 1), 0)"+deadOver, deadOverArgs(id, b), &n)
	return n, err
}

func (q webhooks) TrimDead(ctx context.Context, id uint64, b webhook.DeadBound) error {
	args := deadOverArgs(id, b)
	_, err := q.exec(ctx, "UPDATE webhooks SET dropped = dropped + o.n, dropped_to = max(dropped_to, o.last) "+
		"FROM (SELECT ifnull(sum(last - first + 1), 0) AS n, ifnull(max(last), 0) AS last"+deadOver+") AS o WHERE webhooks.id = ?1", args...)
	if err == nil {
		_, err = q.exec(ctx, "DELETE"+deadOver, args...)
	}
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
