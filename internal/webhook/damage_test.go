package webhook_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/webhook"
)

// TestDeadAreBoundedBesideDamage: where nobody can say what of an instance's events
// can still be read, what is too old goes all the same, and so does that of others.
func TestDeadAreBoundedBesideDamage(t *testing.T) {
	folder := t.TempDir()
	s := &tries{answer: func(event, int) (webhook.Answer, error) { return status(200) }}
	var damaged, other webhook.Made
	synctest.Test(t, func(t *testing.T) {
		w := start(t, folder, webhook.Options{Sender: s})
		first, id := w.create("a")
		second, _ := w.create("b")
		damaged = w.add(first, webhook.Changes{URL: to("http://x")})
		other = w.add(second, webhook.Changes{URL: to("http://y")})
		w.emit(first, 1, 3)
		w.emit(second, 1, 3)
		time.Sleep(time.Second)
		w.change(func(tx *journal.Tx) error {
			in := w.store.Webhooks().In(tx)
			old := time.Now().Add(-31 * 24 * time.Hour)
			return errors.Join(in.Keep(bg, webhook.Kept{Webhook: damaged.ID, First: 1, Last: 3, State: webhook.Dead, Since: old}),
				in.Keep(bg, webhook.Kept{Webhook: other.ID, First: 1, Last: 3, State: webhook.Dead, Since: old}))
		})
		w.stop()
		spoil(t, folder, instance.Topic(id))
	})
	synctest.Test(t, func(t *testing.T) {
		w := start(t, folder, webhook.Options{Sender: s})
		defer w.stop()
		time.Sleep(2 * time.Minute)
		for _, id := range []uint64{damaged.ID, other.ID} {
			dead, err := w.store.Webhooks().CountKept(bg, id, webhook.Dead)
			if h := w.find2(id); err != nil || dead != 0 || h.Dropped != 3 {
				t.Errorf("webhook %d: %d are dead, %d went, %v", id, dead, h.Dropped, err)
			}
		}
	})
}

// spoil damages what the stored index knows of a topic.
func spoil(t *testing.T, folder, topic string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(folder, "kabar.db"))
	if err == nil {
		_, err = db.ExecContext(bg, "UPDATE journal_index SET positions = x'ff' WHERE topic = ?", topic)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}
