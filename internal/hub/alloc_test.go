//go:build !race

package hub

import (
	"testing"

	"github.com/kabar-io/kabar/internal/journal"
)

// TestAllocations counts what is allocated where it happens often. The shard is
// driven by hand, so that the numbers are exact.
func TestAllocations(t *testing.T) {
	seq := uint64(0)
	m := &journal.Message{Data: []byte("m"), Except: 7, Entries: []journal.Entry{{Topic: "feed"}}}
	ms := []*journal.Message{m}
	publish := func(h *Hub, at *shard) func() {
		return func() {
			seq++
			m.Entries[0].Seq = seq
			h.Publish(ms)
			for at.turn(); len(at.active) > 0; at.turn() {
			}
		}
	}
	allocs := func(what string, want float64, f func()) {
		t.Helper()
		for range 100 { // what is kept for the next time is there
			f()
		}
		if got := testing.AllocsPerRun(1000, f); got != want {
			t.Errorf("%s: %v allocations, not %v", what, got, want)
		}
	}
	with := func(n int) (*Hub, *shard) {
		seq = 0
		h := New(nothing{}, Options{Shards: 1, Ring: -1})
		at := h.shards[0]
		for i := range n {
			s := &Session{Conn: open{}, Format: text{}, Topic: "feed", Key: uint64(i + 1)}
			if err := h.Subscribe(t.Context(), s, Now()); err != nil {
				t.Fatal(err)
			}
		}
		at.turn()
		return h, at
	}
	h, at := with(0)
	allocs("a message that nobody hears", 0, publish(h, at))
	h, at = with(1)
	allocs("a message that one hears", 0, publish(h, at))
	h, at = with(1000)
	allocs("a message that a thousand hear", 0, publish(h, at))

	h, at = with(1000)
	sessions, next := make([]Session, 2000), 0
	come := func(topic string) func() {
		return func() {
			s := &sessions[next%len(sessions)]
			*s = Session{Conn: open{}, Format: text{}, Topic: topic, Credential: 3}
			next++
			if err := h.Subscribe(t.Context(), s, Now()); err != nil {
				t.Fatal(err)
			}
			at.turn()
			h.Unsubscribe(s)
			at.turn()
		}
	}
	allocs("to come to a topic with others, and to go", 0, come("feed"))
	allocs("to come to a topic, and to go as the last one", 3, come("user/1")) // the topic, its group and the entry
}
