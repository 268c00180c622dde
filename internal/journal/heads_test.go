package journal_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kabar-io/kabar/internal/journal"
)

// asked counts how often a store is asked where a topic stands, and can be held
// between the reading and the handing over.
type asked struct {
	journal.Store
	n    atomic.Int64
	hold func()
}

func (a *asked) Ends(ctx context.Context, topic string) (journal.Ends, error) {
	e, err := a.Store.Ends(ctx, topic)
	a.n.Add(1)
	if a.hold != nil {
		a.hold()
	}
	return e, err
}

// TestAHeadIsReadOnce: where a quiet topic stands is read once, and what is
// said in it counts from there, stored index or not.
func TestAHeadIsReadOnce(t *testing.T) {
	folder := t.TempDir()
	first := start(t, folder, nil, nil)
	must(t, first.Do(say("a", "room/1")))
	first.stop()
	var a *asked
	j := start(t, folder, nil, func(s journal.Store) journal.Store { a = &asked{Store: s}; return a })
	head := func(topic string, want uint64) {
		t.Helper()
		if h, err := j.Head(t.Context(), topic); err != nil || h != want {
			t.Fatalf("%s stands at %d, %v; want %d", topic, h, err, want)
		}
	}
	for range 3 {
		head("room/1", 1)
		head("room/2", 0)
	}
	if n := a.n.Load(); n != 2 {
		t.Errorf("the store was asked %d times", n)
	}
	must(t, j.Do(say("b", "room/1")))
	must(t, j.Do(say("b", "room/2")))
	head("room/1", 2)
	head("room/2", 1)
	// So much that the index in memory is stored, and forgotten.
	topics := make([]string, 1000)
	for i := range topics {
		topics[i] = "other/" + strconv.Itoa(i)
	}
	for range 70 {
		must(t, j.Do(say("c", topics...)))
	}
	head("room/1", 2)
	head("room/2", 1)
	// A head that was read before something was said, and handed over after it
	// was stored.
	var once sync.Once
	a.hold = func() {
		once.Do(func() {
			must(t, j.Do(say("d", "room/3")))
			for range 70 {
				must(t, j.Do(say("c", topics...)))
			}
		})
	}
	head("room/3", 0)
	head("room/3", 1)
}
