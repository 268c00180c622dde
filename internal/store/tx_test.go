package store

import (
	"context"
	"errors"
	"testing"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// SQLite ends a transaction by itself where even a read meets a full disk or
// an I/O error. Then nothing of the group may be stored, by whatever change.
func TestATransactionThatSQLiteEndedFailsItsGroup(t *testing.T) {
	st, err := Open(t.Context(), Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	j, err := journal.Open(t.Context(), journal.Options{Store: st})
	if err != nil {
		t.Fatal(err)
	}
	hold := make(chan struct{})
	first := j.Do(journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) { <-hold; return nil, nil }))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx, func([]*journal.Message) {}) }()
	defer func() { cancel(); <-done }()
	say := journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
		return []*journal.Message{{Entries: journal.To("a"), Kind: "said", Data: []byte("{}")}}, nil
	})
	bad := j.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		if _, err := In(tx).execRaw(background, "ROLLBACK"); err != nil {
			return nil, err
		}
		In(tx).over = errors.New("disk I/O error") // as note does for SQLite's own
		return nil, In(tx).over
	}))
	behind := j.Do(say)
	close(hold)
	for _, p := range []*journal.Pending{bad, behind} {
		if _, err := p.Wait(t.Context()); status.Of(err).Reason != "NOT_STORED" {
			t.Errorf("a change of the group: %v", err)
		}
	}
	_, _ = first.Wait(t.Context())
	if rows, err := st.Rows(t.Context(), 0, 10); err != nil || len(rows) != 0 {
		t.Errorf("%d rows are stored of a group that was told that nothing was, %v", len(rows), err)
	}
	if r, err := j.Do(say).Wait(t.Context()); err != nil || r.Messages[0].Seq("a") != 1 {
		t.Errorf("after it: %v", err)
	}
}
