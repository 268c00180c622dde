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

func (c counter) Send(frames ...[]byte) bool { c.n.Add(int64(len(frames))); return true }
func (counter) Close(uint16, string)         {}

// BenchmarkFanOut is what a message costs in the hub for each of its
// receivers, without their connections: the metric is ns for one delivery.
func BenchmarkFanOut(b *testing.B) {
	for _, receivers := range []int{0, 1, 1000, 10000} {
		b.Run(fmt.Sprint("receivers=", receivers), func(b *testing.B) {
			l := &memory{topics: map[string][]*journal.Message{}}
			h := hub.New(l, hub.Options{Ring: -1})
			l.hub = h
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() { defer close(done); _ = h.Run(ctx) }()
			defer func() { cancel(); <-done }()
			var got atomic.Int64
			for range receivers {
				if err := h.Subscribe(ctx, &hub.Session{Topic: "feed", Conn: counter{&got}, Format: plain{}}, hub.Now()); err != nil {
					b.Fatal(err)
				}
			}
			m := make([]*journal.Message, b.N)
			for i := range m {
				m[i] = &journal.Message{Kind: "said", Data: []byte("a line"), Entries: []journal.Entry{{Topic: "feed", Seq: uint64(i + 1)}}}
			}
			l.mu.Lock()
			l.topics["feed"] = m // for those that the full queue makes read from the log
			l.mu.Unlock()
			b.ReportAllocs()
			b.ResetTimer()
			for i := range m {
				h.Publish(m[i : i+1])
			}
			for receivers > 0 && h.Stats().Deliveries < int64(receivers*b.N) {
				if _, err := h.Presence(ctx, "feed"); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*max(receivers, 1)), "ns/delivery")
		})
	}
}
