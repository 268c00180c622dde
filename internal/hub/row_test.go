package hub

import (
	"fmt"
	"testing"

	"github.com/kabar-io/kabar/internal/journal"
)

// tally is a connection that takes everything and counts, in memory of its own.
type tally struct {
	n int
	_ [120]byte
}

func (c *tally) Send(...[]byte) bool                  { c.n++; return true }
func (c *tally) Share(p []byte, _ func() []byte) bool { return c.Send(p) }
func (*tally) Close(uint16, string)                   {}

// BenchmarkOneAtATime is what one message costs for each receiver where nothing
// is joined, and nobody but the shard is at work: the row, and the call.
func BenchmarkOneAtATime(b *testing.B) {
	for _, receivers := range []int{1, 1000, 10000, 19000, 100000} {
		b.Run(fmt.Sprint("receivers=", receivers), func(b *testing.B) {
			at := New(nothing{}, Options{Shards: 1, Ring: -1}).shards[0]
			for i := range receivers {
				at.hold("feed")
				at.subscribe(&Session{Conn: &tally{}, Format: text{}, Topic: "feed", Key: uint64(i + 1), shard: at}, 0)
			}
			m, seq := &journal.Message{Data: []byte("a line"), Except: 7}, uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				seq++
				at.hear(&item{topic: "feed", seq: seq, message: m})
				for len(at.active) > 0 {
					at.deliver()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*receivers), "ns/delivery")
		})
	}
}
