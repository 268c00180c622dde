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
		spoil(t, folder, "UPDATE journal_index SET positions = x'ff' WHERE topic = ?", instance.Topic(id))
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

// TestWhatIsDamagedIsPassed: an event that cannot be read any more is dead, and
// what stands around it is told: in order, parked, and once more.
func TestWhatIsDamagedIsPassed(t *testing.T) {
	folder := t.TempDir()
	down := true
	s := &tries{answer: func(event, int) (webhook.Answer, error) {
		if down {
			return status(500)
		}
		return status(200)
	}}
	var hook webhook.Made
	synctest.Test(t, func(t *testing.T) {
		w := start(t, folder, webhook.Options{Sender: s})
		ref, _ := w.create("a")
		hook = w.add(ref, webhook.Changes{URL: to("http://x")})
		w.emit(ref, 1, 9)
		time.Sleep(time.Second)
		w.stop()
	})
	spoil(t, folder, "UPDATE journal SET data = zeroblob(length(data)) WHERE pos IN (SELECT (SELECT max(pos) FROM journal) - value FROM json_each('[2,4,5]'))")
	down, s.all = false, nil
	synctest.Test(t, func(t *testing.T) {
		w := start(t, folder, webhook.Options{Sender: s})
		defer w.stop()
		time.Sleep(time.Hour)
		if got := s.data(); got != "1 2 3 6 8 9 " {
			t.Errorf("told: %s", got)
		}
		if got := w.kept(hook.ID, webhook.Dead); got != "4-5 7-7" {
			t.Errorf("dead: %s", got)
		}
		s.mu.Lock()
		s.all = nil
		s.mu.Unlock()
		w.replay(hook.ID, webhook.Replay{From: 2, To: 9}, 8)
		time.Sleep(time.Hour)
		if got := s.data(); got != "2 3 6 8 9 " {
			t.Errorf("told once more: %s", got)
		}
		if got := w.kept(hook.ID, webhook.Dead) + "," + w.kept(hook.ID, webhook.Replaying); got != "4-5 7-7," {
			t.Errorf("dead then: %s", got)
		}
	})
}

// spoil changes a database behind the store's back.
func spoil(t *testing.T, folder, query string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(folder, "kabar.db"))
	if err == nil {
		_, err = db.ExecContext(bg, query, args...)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}
