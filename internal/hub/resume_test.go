package hub_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
)

// between says something right after a head was read: what a slow query leaves
// time for.
type between struct {
	*memory
	once atomic.Bool
}

func (b *between) Head(ctx context.Context, topic string) (uint64, error) {
	n, err := b.memory.Head(ctx, topic)
	if b.once.CompareAndSwap(true, false) {
		b.say("in between", 0, topic)
	}
	return n, err
}

func TestWhatIsSaidBetweenReadingTheHeadAndJoiningIsHeard(t *testing.T) {
	l := &between{memory: &memory{topics: map[string][]*journal.Message{}}}
	h := hub.New(l, hub.Options{})
	l.hub = h
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Run(ctx) }()
	defer func() { cancel(); <-done }()
	l.say("m1", 0, "user/7")
	l.once.Store(true)
	r := join(t, h, &hub.Session{Topic: "user/7"}, hub.After(1)) // has 1, wants all after it
	hears(t, r, "2:in between|")
}

func TestAWatcherThatWasBehindKnowsWhoIsHere(t *testing.T) {
	h, l := setup(t, hub.Options{Settle: 20 * time.Millisecond})
	slow := &recorder{room: 60}
	joinConn(t, h, &hub.Session{Topic: "feed", Name: "w", Presence: true, Format: plain{watch: true}}, hub.Now(), slow)
	eventually(t, "here", func() bool { return strings.Contains(slow.text(), "presence.here") })
	l.say(strings.Repeat("x", 60), 0, "feed") // no room: it falls back
	eventually(t, "fallback", func() bool { return h.Stats().Fallbacks > 0 })
	other := &hub.Session{Topic: "feed", Name: "ann"}
	join(t, h, other, hub.Now())
	eventually(t, "ann's name", func() bool { slow.drain(); return strings.Contains(slow.text(), `"ann"`) })
	eventually(t, "live", func() bool { slow.drain(); return h.Stats().Resumed > 0 }) // more than once, where it has no room for who joined
}

// failing cannot save for a while.
type failing struct {
	hub.Positions
	left int // owned by the journal's writer
}

func (f *failing) SavePositions(tx *journal.Tx, a []hub.Acked) error {
	if f.left > 0 {
		f.left--
		return context.DeadlineExceeded
	}
	return f.Positions.SavePositions(tx, a)
}

func TestPositionsAreSavedWhenTheyCanBeAndNeverMoveBack(t *testing.T) {
	st, j := stored(t)
	collected := make(chan error, 1)
	c := hub.NewCollector(&failing{Positions: st, left: 1}, j, slog.New(slog.DiscardHandler))
	stop, stopCollector := context.WithCancel(context.Background())
	go func() { collected <- c.Run(stop) }()
	defer func() {
		stopCollector()
		<-collected
	}()
	position := func(want uint64) {
		t.Helper()
		if seq, ok, err := c.Position(t.Context(), "login/1"); err != nil || !ok || seq != want {
			t.Errorf("the position is %d %v %v, want %d", seq, ok, err, want)
		}
	}
	c.Acked(hub.Acked{Owner: "login/1", Topic: "user/1", Seq: 20})
	position(20)
	eventually(t, "saved at the second try", func() bool {
		seq, ok, err := st.Position(t.Context(), "login/1")
		return err == nil && ok && seq == 20
	})
	c.Acked(hub.Acked{Owner: "login/1", Topic: "user/1", Seq: 10}) // an older connection's pong, late
	position(20)
}
