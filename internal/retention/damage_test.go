package retention_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/retention"
)

// TestAKeyThatIsUsedAgain between the look at what is remembered and its
// deletion is remembered as it is then.
func TestAKeyThatIsUsedAgain(t *testing.T) {
	w := open(t)
	refs := w.store.Retention()
	use := func(pos uint64) {
		t.Helper()
		batch, err := w.store.Begin(t.Context())
		if err == nil {
			ref := journal.Ref{Key: journal.Key{Scope: "s", Ref: "r"}, Pos: pos, Count: 1, At: time.Now()}
			err = errors.Join(batch.Derive(journal.Derived{Refs: []journal.Ref{ref}}), batch.Commit())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	left := func() []journal.Ref {
		t.Helper()
		left, err := refs.Refs(t.Context(), journal.Key{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		return left
	}
	drop := func(gone []journal.Ref) {
		w.do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) { return nil, refs.DropRefs(tx, gone) }))
	}
	use(1)
	old := left()
	use(5)
	drop(old)
	now := left()
	if len(now) != 1 || now[0].Pos != 5 {
		t.Errorf("%+v is remembered", now)
	}
	drop(now)
	if now = left(); len(now) != 0 {
		t.Errorf("%+v is still remembered", now)
	}
}

// TestADamagedTopicKeepsWhatItHas, and the others go on.
func TestADamagedTopicKeepsWhatItHas(t *testing.T) {
	for name, p := range map[string]retention.Policy{"age": {Age: time.Nanosecond}, "count": {Count: 1}, "size": {Bytes: 1}} {
		t.Run(name, func(t *testing.T) {
			w := open(t, retention.Kind{Name: "room", Policy: p})
			for _, text := range []string{"1", "2", "3"} {
				w.do(say(text, "room/1", "room/2"))
				w.do(say(text, "room/1"))
				w.do(say(text, "room/2"))
			}
			w.restart() // which stores the index
			var was []byte
			db, err := sql.Open("sqlite", filepath.Join(w.folder, "kabar.db"))
			if err == nil {
				defer db.Close()
				err = db.QueryRowContext(t.Context(), "SELECT positions FROM journal_index WHERE topic = 'room/1'").Scan(&was)
			}
			set := func(positions []byte) {
				if err == nil {
					_, err = db.ExecContext(t.Context(), "UPDATE journal_index SET positions = ? WHERE topic = 'room/1'", positions)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			set([]byte{0xff})
			defer func() { set(was) }() // what a test leaves is whole
			w.pass()
			if floor, err := w.journal.Floor(t.Context(), "room/2"); err != nil || floor < 5 {
				t.Errorf("the other topic begins at %d, %v", floor, err)
			}
			rows, err := w.journal.Scan(t.Context(), 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			of := map[string]int{}
			for _, r := range rows {
				for _, e := range r.Entries {
					of[e.Topic] += len(r.Entries)
				}
			}
			// Six are in the damaged one, three of them with the other.
			if of["room/1"] != 9 || len(rows) > 7 {
				t.Errorf("%d rows are left: %v", len(rows), of)
			}
		})
	}
}
