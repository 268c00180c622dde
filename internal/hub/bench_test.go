package hub_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
)

// counter is a connection that takes everything and counts.
type counter struct{ n *atomic.Int64 }

func (c counter) Send(frames ...[]byte) bool           { c.n.Add(int64(len(frames))); return true }
func (c counter) Share(p []byte, _ func() []byte) bool { return c.Send(p) }
func (counter) Close(uint16, string)                   {}

// verbatim writes a message's data.
type verbatim struct{}

func (verbatim) Append(dst []byte, m *journal.Message, _ uint64) []byte {
	return append(dst, m.Data...)
}

// benchHub is a hub at work, over a log in which nothing was said.
func benchHub(b *testing.B, o hub.Options) (*hub.Hub, *memory) {
	b.Helper()
	l := &memory{topics: map[string][]*journal.Message{}}
	h := hub.New(l, o)
	l.hub = h
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-done })
	return h, l
}

// lines are n messages of the feed.
func lines(n int) []*journal.Message {
	ms := make([]*journal.Message, n)
	for i := range ms {
		ms[i] = &journal.Message{Kind: "said", Data: []byte("a line"), Entries: []journal.Entry{{Topic: "feed", Seq: uint64(i + 1)}}}
	}
	return ms
}

// BenchmarkFanOut is what a message costs in the hub for each of its
// receivers, without their connections: the metric is ns for one delivery.
func BenchmarkFanOut(b *testing.B) {
	for _, receivers := range []int{1, 1000, 10000, 19000} {
		b.Run(fmt.Sprint("receivers=", receivers), func(b *testing.B) {
			h, l := benchHub(b, hub.Options{Ring: -1})
			got := make([]struct { // a line of memory for each, as connections have
				n atomic.Int64
				_ [7]int64
			}, receivers)
			for i := range got {
				s := &hub.Session{Topic: "feed", Conn: counter{&got[i].n}, Format: verbatim{}, Key: uint64(i + 1)}
				if err := h.Subscribe(b.Context(), s, hub.Now()); err != nil {
					b.Fatal(err)
				}
			}
			ms := lines(b.N)
			l.mu.Lock()
			l.topics["feed"] = ms // for those that the full queue makes read from the log
			l.mu.Unlock()
			b.ReportAllocs()
			b.ResetTimer()
			for i := range ms {
				h.Publish(ms[i : i+1])
			}
			for h.Stats().Deliveries < int64(receivers*b.N) {
				if _, err := h.Presence(b.Context(), "nobody's"); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*receivers), "ns/delivery")
		})
	}
}

// BenchmarkUnheard is a message of a topic that nobody here hears, with the
// ring that keeps it and without.
func BenchmarkUnheard(b *testing.B) {
	for what, ring := range map[string]int{"kept": 0, "not-kept": -1} {
		b.Run(what, func(b *testing.B) {
			h, _ := benchHub(b, hub.Options{Ring: ring})
			ms := lines(b.N)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range ms {
				h.Publish(ms[i : i+1])
			}
		})
	}
}

// BenchmarkSubscribe is a session that comes, hears its topic, and goes: one
// topic for all, and one for each.
func BenchmarkSubscribe(b *testing.B) {
	topics := make([]string, 1<<16)
	for i := range topics {
		topics[i] = fmt.Sprint("user/", i)
	}
	for what, n := range map[string]int{"feed": 1, "inbox": len(topics)} {
		b.Run(what, func(b *testing.B) {
			h, _ := benchHub(b, hub.Options{})
			var got atomic.Int64
			conn := counter{&got}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s := &hub.Session{Topic: topics[i%n], Conn: conn, Format: verbatim{}, Credential: hub.Credential(i + 1)}
				if err := h.Subscribe(b.Context(), s, hub.Now()); err != nil {
					b.Fatal(err)
				}
				h.Unsubscribe(s)
			}
		})
	}
}
