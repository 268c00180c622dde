package personal_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
)

// TestADamagedInboxHoldsUpNobody: who is to be erased beside somebody of whom
// what was said to them cannot be found any more, is.
func TestADamagedInboxHoldsUpNobody(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	zofia, bob := w.register("zofia"), w.register("bob")
	for _, user := range []uint64{zofia, bob} {
		_, err := w.accounts.Notify(user, "hello", journal.Key{}).Wait(ctx)
		w.ok(err)
	}
	for _, user := range []uint64{zofia, bob} {
		_, err := w.service.Erase(ctx, user)
		w.ok(err)
	}
	w.stop()
	db, err := sql.Open("sqlite", filepath.Join(w.folder, "kabar.db"))
	w.ok(err)
	defer db.Close()
	var was []byte
	inbox := account.Inbox(zofia)
	w.ok(db.QueryRowContext(ctx, "SELECT positions FROM journal_index WHERE topic = ?", inbox).Scan(&was))
	set := func(positions []byte) {
		_, err := db.ExecContext(t.Context(), "UPDATE journal_index SET positions = ? WHERE topic = ?", positions, inbox)
		w.ok(err)
	}
	set([]byte{0xff})
	w.start()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { w.ok(w.service.Run(ctx)) })
	defer wg.Wait()
	defer cancel()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		e, _, err := w.service.Erasure(ctx, bob)
		w.ok(err)
		if !e.Ended.IsZero() {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("never erased: %+v", e)
		}
	}
	if e, _, err := w.service.Erasure(ctx, zofia); err != nil || !e.Ended.IsZero() {
		t.Errorf("the other: %+v, %v", e, err)
	}
	cancel()
	wg.Wait()
	set(was)
	w.until(zofia)
}
