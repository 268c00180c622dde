//go:build !race

package chat_test

import (
	"runtime"
	"strconv"
	"testing"

	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store/storetest"
)

// TestAllocationsOfADirectMessage counts what a private message of a large
// group of changes allocates, from Send until it is done.
func TestAllocationsOfADirectMessage(t *testing.T) {
	const group = 2048
	for _, c := range []struct {
		name string
		key  func(i int) journal.Key
		most uint64
	}{
		{"without a ref", func(int) journal.Key { return journal.Key{} }, 12},
		{"with a ref", func(i int) journal.Key { return journal.Key{Scope: "login/1", Ref: strconv.Itoa(100000 + i)} }, 15},
	} {
		st, j, _ := storetest.Start(t, t.TempDir())
		chats, ann, budi := friends(t, st, j)
		ps := make([]*journal.Pending, group)
		sent := 0
		round := func() uint64 {
			in, out := make(chan struct{}), make(chan struct{})
			j.Do(journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
				close(in)
				<-out
				return nil, nil
			}))
			<-in
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for i := range ps {
				ps[i] = chats.Send(chat.Outgoing{From: ann, To: budi, Login: 1, Text: text}, c.key(sent))
				sent++
			}
			close(out)
			for _, p := range []*journal.Pending{ps[0], ps[group-1]} {
				if _, err := p.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			runtime.ReadMemStats(&after)
			return after.Mallocs - before.Mallocs
		}
		round() // fills what is kept from group to group
		if got := round() / group; got > c.most {
			t.Errorf("%s: %d allocations a message, want at most %d", c.name, got, c.most)
		}
	}
}
