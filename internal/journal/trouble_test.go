package journal_test

import (
	"context"
	"errors"
	"testing"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// lying is a store whose commits are said to have failed while lie is set, and
// did not.
type lying struct {
	journal.Store
	lie *bool
}

type lyingBatch struct {
	journal.Batch
	lie *bool
}

func (l lying) Begin(ctx context.Context) (journal.Batch, error) {
	b, err := l.Store.Begin(ctx)
	return lyingBatch{b, l.lie}, err
}

func (l lyingBatch) Commit() error {
	err := l.Batch.Commit()
	if *l.lie {
		return errors.New("disk I/O error")
	}
	return err
}

// TestWhatWasRefusedIsThere: where the store holds what was told not to be
// there, no number is given twice; a restart goes on behind it.
func TestWhatWasRefusedIsThere(t *testing.T) {
	lie, folder := false, t.TempDir()
	j := start(t, folder, nil, func(s journal.Store) journal.Store { return lying{s, &lie} })
	must(t, j.Do(say("1", "a")))
	lie = true
	if _, err := j.Do(say("2", "a")).Wait(t.Context()); err == nil {
		t.Fatal("a commit that failed is no error")
	}
	lie = false
	for range 3 {
		_, err := j.Do(say("3", "a")).Wait(t.Context())
		if e := status.Of(err); err == nil || e.Reason != "LOG_AHEAD" || e.Code != status.Unavailable {
			t.Fatalf("the next change gives %v", err)
		}
	}
	if j.Health() == nil {
		t.Error("it says that it is well")
	}
	j.stop()
	j = start(t, folder, nil, nil)
	if r := must(t, j.Do(say("3", "a"))); r.Messages[0].Seq("a") != 3 {
		t.Errorf("after a restart: %+v", r.Messages[0])
	}
}
