package hub_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store"
)

// counting are positions that count what is saved.
type counting struct {
	hub.Positions
	mu    sync.Mutex
	saved map[string]uint64 // guarded by mu
	most  int               // guarded by mu: at once
}

func (p *counting) SavePositions(_ *journal.Tx, acked []hub.Acked) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most = max(p.most, len(acked))
	for _, a := range acked {
		p.saved[a.Owner] = a.Seq
	}
	return nil
}

// Where more positions move than are saved at once they take their turns, and
// none is forgotten; what is left is saved at the end.
func TestManyPositionsAreSavedInTurns(t *testing.T) {
	st, j := stored(t)
	collected := make(chan error, 1)
	p := &counting{Positions: st, saved: map[string]uint64{}}
	c := hub.NewCollector(p, j, slog.New(slog.DiscardHandler))
	const n = hub.SaveMost + hub.SaveMost/2
	for i := range n {
		c.Acked(hub.Acked{Owner: fmt.Sprint("login/", i), Topic: "user/1", Seq: 7})
	}
	stop, stopCollector := context.WithCancel(context.Background())
	go func() { collected <- c.Run(stop) }()
	eventually(t, "all are saved", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.saved) == n
	})
	p.mu.Lock()
	if p.most != hub.SaveMost {
		t.Errorf("%d were saved at once", p.most)
	}
	p.mu.Unlock()
	stopCollector()
	<-collected
}

// stored is a journal on a store.
func stored(t *testing.T) (*store.Store, *journal.Journal) {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(t.Context(), journal.Options{Store: st})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	written := make(chan error, 1)
	go func() { written <- j.Run(ctx, func([]*journal.Message) {}) }()
	t.Cleanup(func() {
		cancel()
		<-written
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st, j
}

// TestTheFirstPositionIsTheFirst: of two that come first at the same time, the
// later one passes over nothing that is owed to the earlier one.
func TestTheFirstPositionIsTheFirst(t *testing.T) {
	st, j := stored(t)
	c := hub.NewCollector(st, j, slog.New(slog.DiscardHandler))
	for _, at := range []uint64{5, 7} { // both found none, and something was said between them
		if seq, err := c.First(t.Context(), hub.Acked{Owner: "consumer/1/billing", Topic: "instance/1", Seq: at}); err != nil || seq != 5 {
			t.Errorf("who begins at %d begins at %d: %v", at, seq, err)
		}
	}
	if seq, ok, err := st.Position(t.Context(), "consumer/1/billing"); err != nil || !ok || seq != 5 {
		t.Errorf("what is kept begins at %d: %v, %v", seq, ok, err)
	}
}
