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
	st, err := store.Open(t.Context(), store.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(t.Context(), journal.Options{Store: st})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	written, collected := make(chan error, 1), make(chan error, 1)
	go func() { written <- j.Run(ctx, func([]*journal.Message) {}) }()
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
	cancel()
	<-written
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}
