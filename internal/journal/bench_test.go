package journal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store"
	"github.com/kabar-io/kabar/internal/store/storetest"
)

// BenchmarkAppend is the log alone: changes that ask nothing and append one
// message of about 200 bytes to one topic, on the real store. "waiting" is how
// many are under way at once.
func BenchmarkAppend(b *testing.B) {
	for _, waiting := range []int{1, 10, 100, 1000, 10000} {
		b.Run(fmt.Sprint("waiting=", waiting), func(b *testing.B) {
			j := start(b, b.TempDir(), nil, nil)
			st := j.store.(*store.Store)
			change := say(strings.Repeat("x", 180), "feed")
			places := make(chan struct{}, waiting)
			var wg sync.WaitGroup
			done := func(_ journal.Result, err error) {
				if err != nil {
					b.Error(err)
				}
				<-places
				wg.Done()
			}
			written, _ := st.Statements()
			b.ReportAllocs()
			b.ResetTimer()
			cpu := storetest.CPUTime(b)
			for range b.N {
				places <- struct{}{}
				wg.Add(1)
				j.Do(change).Then(done)
			}
			wg.Wait()
			b.StopTimer()
			cpu = storetest.CPUTime(b) - cpu
			now, _ := st.Statements()
			n := float64(b.N)
			b.ReportMetric(n/b.Elapsed().Seconds(), "msgs/s")
			b.ReportMetric(float64(cpu.Nanoseconds())/n, "cpu-ns/msg")
			b.ReportMetric(float64(now-written)/n, "stmts/msg")
			b.ReportMetric(float64(j.Stats().Commits)/n, "commits/msg")
		})
	}
}

// BenchmarkAcknowledge is how long one change takes from Do until it is done
// while nothing else is under way, beside how long the same disk takes for an
// fdatasync of a page written behind the last one, in turn.
func BenchmarkAcknowledge(b *testing.B) {
	folder := b.TempDir()
	j := start(b, folder, nil, nil)
	change := say(strings.Repeat("x", 180), "feed")
	f, err := os.Create(filepath.Join(folder, "beside"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096+24)
	var acks, syncs []time.Duration
	for range b.N {
		time.Sleep(time.Millisecond)
		begin := time.Now()
		must(b, j.Do(change))
		acks = append(acks, time.Since(begin))
		time.Sleep(time.Millisecond)
		begin = time.Now()
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
		syncs = append(syncs, time.Since(begin))
	}
	for name, d := range map[string][]time.Duration{"ack": acks, "sync": syncs} {
		slices.Sort(d)
		b.ReportMetric(float64(d[len(d)/2].Microseconds()), name+"-p50-µs")
		b.ReportMetric(float64(d[len(d)*99/100].Microseconds()), name+"-p99-µs")
	}
}
