package store_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store"
	"github.com/kabar-io/kabar/internal/webhook"
)

// TestWebhooksOfAnOlderFolder opens a folder from before an instance could have
// several webhooks: nothing of what was there is lost, and what went with an
// instance still does.
func TestWebhooksOfAnOlderFolder(t *testing.T) {
	folder := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(folder, "kabar.db"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"))
	if err == nil {
		_, err = p.UpTo(bg, 10)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{
		`INSERT INTO instances VALUES (2, 'north', '', '', '', 1, 1, '', '', 0, 0, 1, x'01')`,
		`INSERT INTO webhooks (id, instance_id, url, enabled, events, created, updated, version, start, secret, old_secret, old_until,
			hold_since, hold_tries, hold_next, error) VALUES (3, 2, 'https://x', 1, '["a"]', 1, 2, 3, 4, x'05', x'06', 7, 8, 9, 10, 'e')`,
		`INSERT INTO webhook_kept (webhook_id, first, last, state, since, tries, next, reason) VALUES (3, 1, 2, 1, 3, 4, 0, 'r')`,
		`INSERT INTO positions (owner, topic, seq, at) VALUES ('webhook/3', 'instance/2', 5, 1)`,
	} {
		if _, err := db.ExecContext(bg, q); err != nil {
			t.Fatal(q, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	st, err := store.Open(bg, store.Options{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	at := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	want := webhook.Row{
		Webhook: webhook.Webhook{
			ID: 3, Instance: 2, Main: true, URL: "https://x", Enabled: true, Events: []string{"a"}, Created: at(1), Updated: at(2),
			Hold: webhook.Hold{Since: at(8), Tries: 9, Next: at(10)}, Error: "e",
		},
		Version: 3, Start: 4, Secret: []byte{5}, OldSecret: []byte{6}, OldUntil: at(7),
	}
	if row, ok, err := st.Webhooks().WebhookOf(bg, 2); err != nil || !ok || !reflect.DeepEqual(row, want) {
		t.Errorf("%+v, %t, %v; want %+v", row, ok, err, want)
	}
	if list, err := st.Webhooks().Kept(bg, 3, webhook.Dead, 0, 9); err != nil || len(list) != 1 || list[0].Last != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	if seq, ok, err := st.Position(bg, "webhook/3"); err != nil || !ok || seq != 5 {
		t.Errorf("%d, %t, %v", seq, ok, err)
	}
}

// TestTryRows stores tries, and leaves the newest.
func TestTryRows(t *testing.T) {
	at := time.UnixMilli(1700000000123).UTC()
	row := func(hook, id uint64, v webhook.Verdict) webhook.TryRow {
		return webhook.TryRow{Webhook: hook, ID: id, Verdict: v, Text: []byte(`{"Error":"é\"","Status":200}`)}
	}
	read := func(r webhook.Reader, hook uint64, q webhook.TryQuery, want ...webhook.TryRow) {
		t.Helper()
		if list, err := r.Tries(bg, hook, q); err != nil || len(list) != len(want) || len(want) > 0 && !reflect.DeepEqual(list, want) {
			t.Errorf("read %+v, %v; want %+v", list, err, want)
		}
	}
	refused := webhook.Refused
	inBatches(t, t.TempDir(), func(st *store.Store, tx *journal.Tx) error {
		w := st.Webhooks().In(tx)
		if err := errors.Join(w.AddTries(bg, nil, time.Time{}, nil), w.TrimTries(bg, nil, 1, at)); err != nil {
			return err
		}
		for id := uint64(3); id <= 4; id++ {
			if err := w.AddWebhook(bg, webhook.Row{Webhook: webhook.Webhook{ID: id, Instance: id}, OldSecret: []byte{1}, OldUntil: at}); err != nil {
				return err
			}
		}
		return w.AddTries(bg, []webhook.TryRow{
			row(3, 10, webhook.Taken), row(3, 30, webhook.Refused), row(3, 20, webhook.Failed), row(4, 10, webhook.Taken), row(9, 10, webhook.Taken),
		}, at, map[uint64]time.Time{3: at, 9: at})
	}, func(st *store.Store, tx *journal.Tx) error {
		w := st.Webhooks().In(tx)
		read(w, 3, webhook.TryQuery{Limit: 9}, row(3, 30, webhook.Refused), row(3, 20, webhook.Failed), row(3, 10, webhook.Taken))
		read(w, 3, webhook.TryQuery{Limit: 1, Before: 30}, row(3, 20, webhook.Failed))
		read(w, 3, webhook.TryQuery{Limit: 9, Verdict: &refused}, row(3, 30, webhook.Refused))
		read(w, 3, webhook.TryQuery{Limit: 9, Verdict: &refused, Before: 30})
		read(w, 9, webhook.TryQuery{Limit: 9}) // there is no such webhook
		if id, err := w.LastTry(bg); id != 30 || err != nil {
			t.Errorf("the last is %d, %v", id, err)
		}
		if r, _, err := w.Webhook(bg, 3); err != nil || !r.Taken.Equal(at) || len(r.OldSecret) != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		return errors.Join(
			w.AddTries(bg, []webhook.TryRow{row(3, 30, webhook.Refused)}, at.Add(time.Hour), map[uint64]time.Time{3: at.Add(-time.Hour)}),
			w.TrimTries(bg, []uint64{3}, 2, at), w.TrimTries(bg, []uint64{4}, 2, at.Add(time.Millisecond)),
			w.DropOldSecret(bg, 3, at), w.DropOldSecret(bg, 4, at.Add(-1)))
	}, func(st *store.Store, tx *journal.Tx) error {
		read(st.Webhooks(), 3, webhook.TryQuery{Limit: 9}, row(3, 30, webhook.Refused), row(3, 20, webhook.Failed))
		read(st.Webhooks(), 4, webhook.TryQuery{Limit: 9})
		three, _, err := st.Webhooks().Webhook(bg, 3)
		four, _, err2 := st.Webhooks().Webhook(bg, 4)
		if err := errors.Join(err, err2); err != nil || !three.Taken.Equal(at) || three.OldSecret != nil || len(four.OldSecret) != 1 {
			t.Errorf("%+v, %+v, %v", three, four, err)
		}
		return st.Webhooks().In(tx).DropWebhook(bg, 3)
	}, func(st *store.Store, _ *journal.Tx) error {
		read(st.Webhooks(), 3, webhook.TryQuery{Limit: 9})
		return nil
	})
}
