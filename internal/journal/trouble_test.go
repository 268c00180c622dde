package journal_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

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

// between is a store that does something when a commit is durable, and its
// journal does not know it yet.
type between struct {
	journal.Store
	do func()
}

type betweenBatch struct {
	journal.Batch
	do func()
}

func (b between) Begin(ctx context.Context) (journal.Batch, error) {
	batch, err := b.Store.Begin(ctx)
	return betweenBatch{batch, b.do}, err
}

func (b betweenBatch) Commit() error {
	err := b.Batch.Commit()
	b.do()
	return err
}

// TestSweepingInBetween: a floor that the store has and memory does not is no
// reason to leave a row behind for good.
func TestSweepingInBetween(t *testing.T) {
	var j *running
	ready := make(chan struct{})
	var once sync.Once
	j = start(t, t.TempDir(), nil, func(s journal.Store) journal.Store {
		return between{s, func() {
			once.Do(func() {
				<-ready
				ctx, cancel := context.WithTimeout(t.Context(), time.Second) // a slice that was found waits for the writer, which is here
				defer cancel()
				_, _ = j.Sweep(ctx)
			})
		}}
	})
	close(ready)
	must(t, j.Do(journal.All(say("1", "a", "b"), raise("a", 2), raise("b", 2))))
	must(t, j.Do(say("2", "c"))) // what the slice found is done, too
	for more := true; more; {
		var err error
		if more, err = j.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if rows, err := j.Scan(t.Context(), 0, 10); err != nil || len(rows) != 1 {
		t.Errorf("%v are left (%v)", rows, err)
	}
}
