package store_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

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
