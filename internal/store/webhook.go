package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/webhook"
)

// webhooks is the webhook package's port, on a snapshot or inside a batch.
type webhooks struct{ queries }

// webhookStore adds the way into a batch.
type webhookStore struct{ webhooks }

// Webhooks is where webhooks stand.
func (s *Store) Webhooks() webhook.Store { return webhookStore{webhooks{s.queries}} }

func (webhookStore) In(tx *journal.Tx) webhook.Tx { return webhooks{In(tx).queries} }

const webhookQuery = `SELECT id, instance_id, is_main, url, enabled, events, format, rate, created, updated, version, start,
	secret, old_secret, old_until, keys, ref, hold_since, hold_tries, hold_next, error, last_taken, dropped, dropped_to FROM webhooks WHERE `

// orNever is fromMillis, and the zero time for 0.
func orNever(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return fromMillis(ms)
}

// orZero is orNever's way back.
func orZero(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// scanWebhook reads a row of webhookQuery.
func scanWebhook(scan func(...any) error) (r webhook.Row, err error) {
	var events string
	var created, updated, oldUntil, since, next, last int64
	err = scan(&r.ID, &r.Instance, &r.Main, &r.URL, &r.Enabled, &events, &r.Format, &r.Rate, &created, &updated, &r.Version, &r.Start,
		&r.Secret, &r.OldSecret, &oldUntil, &r.Keys, &r.Ref, &since, &r.Hold.Tries, &next, &r.Error, &last, &r.Dropped, &r.DroppedTo)
	if err != nil {
		return webhook.Row{}, err
	}
	r.Created, r.Updated, r.OldUntil = fromMillis(created), fromMillis(updated), orNever(oldUntil)
	r.Hold.Since, r.Hold.Next = orNever(since), orNever(next)
	r.Taken = orNever(last)
	if len(r.OldSecret) == 0 {
		r.OldSecret = nil
	}
	if len(r.Secret) == 0 {
		r.Secret = nil
	}
	if events != "" {
		err = json.Unmarshal([]byte(events), &r.Events)
	}
	return r, err
}

func (q webhooks) list(ctx context.Context, where string, args ...any) (list []webhook.Row, err error) {
	err = q.rows(ctx, webhookQuery+where, args, func(scan func(...any) error) error {
		r, err := scanWebhook(scan)
		list = append(list, r)
		return err
	})
	return list, err
}

func (q webhooks) one(ctx context.Context, where string, args ...any) (webhook.Row, bool, error) {
	list, err := q.list(ctx, where, args...)
	if err != nil || len(list) == 0 {
		return webhook.Row{}, false, err
	}
	return list[0], true, nil
}

func (q webhooks) Webhook(ctx context.Context, id uint64) (webhook.Row, bool, error) {
	return q.one(ctx, "id = ?", id)
}

func (q webhooks) WebhookOf(ctx context.Context, instance uint64) (webhook.Row, bool, error) {
	return q.one(ctx, "instance_id = ? AND is_main = 1", instance)
}

func (q webhooks) WebhookBy(ctx context.Context, instance uint64, ref string) (webhook.Row, bool, error) {
	return q.one(ctx, "instance_id = ? AND ref = ? AND ref <> ''", instance, ref)
}

func (q webhooks) Webhooks(ctx context.Context, after uint64, limit int) ([]webhook.Row, error) {
	return q.list(ctx, "id > ? ORDER BY id LIMIT ?", after, limit)
}

func (q webhooks) WebhooksOf(ctx context.Context, instance, after uint64, limit int) ([]webhook.Row, error) {
	return q.list(ctx, "instance_id = ? AND id > ? ORDER BY id LIMIT ?", instance, after, limit)
}

func (q webhooks) CountWebhooks(ctx context.Context, instance uint64) (n int, err error) {
	_, err = q.row(ctx, "SELECT count(*) FROM webhooks WHERE instance_id = ?", []any{instance}, &n)
	return n, err
}

func (q webhooks) NextID(ctx context.Context) (uint64, error) { return q.next(ctx, "last_id") }

// eventList is a webhook's events as they are stored.
func eventList(names []string) (string, error) {
	if names == nil {
		return "", nil
	}
	b, err := json.Marshal(names)
	return string(b), err
}

// blob is what a column takes that has no NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (q webhooks) AddWebhook(ctx context.Context, r webhook.Row) error {
	events, err := eventList(r.Events)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `INSERT INTO webhooks (id, instance_id, is_main, url, enabled, events, format, rate, created, updated, version, start,
		secret, old_secret, old_until, keys, ref, hold_since, hold_tries, hold_next, error, last_taken)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`,
		r.ID, r.Instance, r.Main, r.URL, r.Enabled, events, r.Format, r.Rate, r.Created.UnixMilli(), r.Updated.UnixMilli(), r.Version, int64(r.Start),
		blob(r.Secret), blob(r.OldSecret), orZero(r.OldUntil), int64(r.Keys), r.Ref, orZero(r.Hold.Since), r.Hold.Tries, orZero(r.Hold.Next), r.Error)
	return err
}

func (q webhooks) SetWebhook(ctx context.Context, r webhook.Row) error {
	events, err := eventList(r.Events)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `UPDATE webhooks SET url = ?, enabled = ?, events = ?, format = ?, rate = ?, updated = ?, version = ?, start = ?,
		secret = ?, old_secret = ?, old_until = ?, keys = ?, hold_since = ?, hold_tries = ?, hold_next = ?, error = ? WHERE id = ?`,
		r.URL, r.Enabled, events, r.Format, r.Rate, r.Updated.UnixMilli(), r.Version, int64(r.Start),
		blob(r.Secret), blob(r.OldSecret), orZero(r.OldUntil), int64(r.Keys), orZero(r.Hold.Since), r.Hold.Tries, orZero(r.Hold.Next), r.Error, r.ID)
	return err
}

// DropWebhook deletes it, and by the schema's triggers all that is its own.
func (q webhooks) DropWebhook(ctx context.Context, id uint64) error {
	_, err := q.exec(ctx, "DELETE FROM webhooks WHERE id = ?", id)
	return err
}

const keptQuery = "SELECT webhook_id, first, last, state, since, tries, next, reason FROM webhook_kept WHERE webhook_id = ? AND state = ? "

func (q webhooks) kept(ctx context.Context, where string, args ...any) (list []webhook.Kept, err error) {
	err = q.rows(ctx, keptQuery+where, args, func(scan func(...any) error) error {
		var k webhook.Kept
		var since, next int64
		err := scan(&k.Webhook, &k.First, &k.Last, &k.State, &since, &k.Tries, &next, &k.Reason)
		k.Since, k.Next = fromMillis(since), orNever(next)
		list = append(list, k)
		return err
	})
	return list, err
}

func (q webhooks) Kept(ctx context.Context, id uint64, state webhook.State, after uint64, limit int) ([]webhook.Kept, error) {
	return q.kept(ctx, "AND first > ? ORDER BY first LIMIT ?", id, state, int64(after), limit)
}

func (q webhooks) Due(ctx context.Context, id uint64) (webhook.Kept, bool, error) {
	list, err := q.kept(ctx, "ORDER BY next, first LIMIT 1", id, webhook.Parked)
	if err != nil || len(list) == 0 {
		return webhook.Kept{}, false, err
	}
	return list[0], true, nil
}

func (q webhooks) CountKept(ctx context.Context, id uint64, state webhook.State) (n int, err error) {
	_, err = q.row(ctx, "SELECT count(*) FROM webhook_kept WHERE webhook_id = ? AND state = ?", []any{id, state}, &n)
	return n, err
}

func (q webhooks) Keep(ctx context.Context, k webhook.Kept) error {
	_, err := q.exec(ctx, `INSERT OR REPLACE INTO webhook_kept (webhook_id, first, last, state, since, tries, next, reason)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, k.Webhook, int64(k.First), int64(k.Last), k.State, k.Since.UnixMilli(), k.Tries, orZero(k.Next), k.Reason)
	return err
}

func (q webhooks) DropKept(ctx context.Context, id, first uint64) error {
	_, err := q.exec(ctx, "DELETE FROM webhook_kept WHERE webhook_id = ? AND first = ?", id, int64(first))
	return err
}

func (q webhooks) Hasten(ctx context.Context, id uint64, now time.Time) error {
	_, err := q.exec(ctx, "UPDATE webhook_kept SET next = min(next, ?) WHERE webhook_id = ? AND state <> ?", now.UnixMilli(), id, webhook.Dead)
	return err
}

func (q webhooks) KeptAcross(ctx context.Context, id, first, last uint64) (list []webhook.Kept, err error) {
	for state := webhook.Parked; state <= webhook.Replaying; state++ {
		some, err := q.kept(ctx, "AND first <= ? AND last >= ? AND (first < ? OR last > ?) ORDER BY first",
			id, state, int64(last), int64(first), int64(first), int64(last))
		if err != nil {
			return nil, err
		}
		list = append(list, some...)
	}
	return list, nil
}

func (q webhooks) DropKeptIn(ctx context.Context, id, first, last uint64) error {
	_, err := q.exec(ctx, "DELETE FROM webhook_kept WHERE webhook_id = ? AND first <= ? AND last >= ?", id, int64(last), int64(first))
	return err
}

func (q webhooks) ReplayDead(ctx context.Context, id uint64, most int, now time.Time) (n uint64, err error) {
	const those = "SELECT first FROM webhook_kept WHERE webhook_id = ?1 AND state = 1 ORDER BY first LIMIT ?2"
	_, err = q.row(ctx, "SELECT ifnull(sum(last - first + 1), 0) FROM webhook_kept WHERE webhook_id = ?1 AND first IN ("+those+")", []any{id, most}, &n)
	if err == nil {
		_, err = q.exec(ctx, "UPDATE webhook_kept SET state = 2, since = ?3, tries = 0, next = 0, reason = '' WHERE webhook_id = ?1 AND first IN ("+those+")",
			id, most, now.UnixMilli())
	}
	return n, err
}

func (q webhooks) Totals(ctx context.Context) (n webhook.Totals, err error) {
	if _, err = q.row(ctx, "SELECT count(*), count(nullif(hold_since, 0)) FROM webhooks WHERE enabled = 1", nil, &n.Webhooks, &n.Held); err != nil {
		return n, err
	}
	_, err = q.row(ctx, "SELECT count(nullif(state <> 0, 1)), count(nullif(state <> 1, 1)), count(nullif(state <> 2, 1)) FROM webhook_kept", nil, &n.Parked, &n.Dead, &n.Replaying)
	return n, err
}
