//go:build !race

package journal_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/journal"
)

// TestAllocationsOfAnAppend counts what one message of a large group allocates
// from Do until it is done: the pending change, the change's own message, list
// and entries, the row's two values as SQL takes them, and the id.
func TestAllocationsOfAnAppend(t *testing.T) {
	const group, most = 2048, 8
	j := start(t, t.TempDir(), nil, nil)
	change := say(strings.Repeat("x", 180), "feed")
	ps := make([]*journal.Pending, group)
	round := func() uint64 {
		release := held(t, j.Journal)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := range ps {
			ps[i] = j.Do(change)
		}
		release()
		last := ps[group-1]
		must(t, last)
		runtime.ReadMemStats(&after)
		return after.Mallocs - before.Mallocs
	}
	round() // fills what is kept from group to group
	if got := round() / group; got > most {
		t.Errorf("%d allocations a message, want at most %d", got, most)
	}
}
