package chat_test

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store"
	"github.com/kabar-io/kabar/internal/store/storetest"
)

// BenchmarkDirectMessage is what a private message costs below the gateway:
// its rule, its row, its commit. It prints beside the time the statements and
// the bytes written a message, and the size of its row. "waiting" is how many
// messages are under way at once: whatever waits is one commit.
func BenchmarkDirectMessage(b *testing.B) {
	for _, waiting := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint("waiting=", waiting), func(b *testing.B) { benchmarkMessages(b, waiting) })
	}
}

func benchmarkMessages(b *testing.B, waiting int) { //nolint:thelper // the benchmark itself
	st, j, _ := storetest.Start(b, b.TempDir())
	chats, ann, budi := friends(b, st, j)

	written, _ := st.Statements()
	bytesBefore := writtenBytes(b)
	text := "Hai! Bagaimana kabarmu? Sampai jumpa nanti malam di warung."
	places := make(chan struct{}, waiting)
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		places <- struct{}{}
		wg.Add(1)
		chats.Send(chat.Outgoing{From: ann, To: budi, Login: 1, Text: text}, journal.Key{}).Then(func(_ journal.Result, err error) {
			if err != nil {
				b.Error(err)
			}
			<-places
			wg.Done()
		})
	}
	wg.Wait()
	b.StopTimer()
	now, _ := st.Statements()
	n := float64(b.N)
	b.ReportMetric(n/b.Elapsed().Seconds(), "msgs/s")
	b.ReportMetric(float64(now-written)/n, "stmts/msg")
	b.ReportMetric(float64(writtenBytes(b)-bytesBefore)/n, "written-B/msg")
	b.ReportMetric(float64(j.Stats().Commits)/n, "commits/msg")
	rows, err := st.Rows(b.Context(), 0, 1<<20)
	if err != nil {
		b.Fatal(err)
	}
	size := 0
	for _, r := range rows[len(rows)-1:] {
		size += len(r.Data)
	}
	b.ReportMetric(float64(size), "row-B")
	b.ReportMetric(float64(len(rows)-2)/n, "rows/msg") // but for the two messages that made them friends
}

// writtenBytes is what this process has handed to write calls.
func writtenBytes(b *testing.B) (n uint64) {
	b.Helper()
	raw, err := os.ReadFile("/proc/self/io")
	if err != nil {
		b.Fatalf("the bytes written are counted by Linux, in /proc/self/io: %v", err)
	}
	_, rest, _ := bytes.Cut(raw, []byte("wchar: "))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err = strconv.ParseUint(string(line), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func people(b *testing.B, st *store.Store, j *journal.Journal) *account.Service {
	b.Helper()
	accounts, err := account.New(account.Options{
		Journal: j, Store: st.Accounts(), Key: bytes.Repeat([]byte("k"), 32),
		HashCost: account.HashCost{Memory: 64, Passes: 1, Threads: 1},
	})
	if err != nil {
		b.Fatal(err)
	}
	return accounts
}

func friends(b *testing.B, st *store.Store, j *journal.Journal) (*chat.Service, uint64, uint64) {
	b.Helper()
	accounts := people(b, st, j)
	chats, err := chat.New(chat.Options{Journal: j, Store: st.Chats()})
	if err != nil {
		b.Fatal(err)
	}
	var ids []uint64
	for _, name := range []string{"ann", "budi"} {
		u, err := accounts.Register(b.Context(), account.Registration{Email: name + "@example.com", Name: name, Password: "password"})
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, u.ID)
	}
	for i := range ids {
		if _, err := chats.Request(b.Context(), ids[i], ids[1-i]); err != nil {
			b.Fatal(err)
		}
	}
	return chats, ids[0], ids[1]
}

// BenchmarkGroupMessage is what a message in a group costs below the gateway,
// with a hundred under way: one row, whose entries are the inboxes of all.
func BenchmarkGroupMessage(b *testing.B) {
	for _, members := range []int{2, 16, 256} {
		b.Run(fmt.Sprint("members=", members), func(b *testing.B) {
			st, j, _ := storetest.Start(b, b.TempDir())
			chats, ann, _ := friends(b, st, j)
			g, err := chats.CreateGroup(b.Context(), ann, "Warung")
			if err != nil {
				b.Fatal(err)
			}
			for _, id := range more(b, st, j, members-1) {
				if _, err := chats.Join(b.Context(), id, g.ID, g.Link); err != nil {
					b.Fatal(err)
				}
			}
			places := make(chan struct{}, 100)
			var wg sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				places <- struct{}{}
				wg.Add(1)
				chats.Send(chat.Outgoing{From: ann, Group: g.ID, Login: 1, Text: "Siapa mau kopi?"}, journal.Key{}).Then(func(_ journal.Result, err error) {
					if err != nil {
						b.Error(err)
					}
					<-places
					wg.Done()
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

// more are so many people besides.
func more(b *testing.B, st *store.Store, j *journal.Journal, n int) []uint64 {
	b.Helper()
	accounts := people(b, st, j)
	ids := make([]uint64, n)
	for i := range ids {
		name := "p" + strconv.Itoa(i)
		u, err := accounts.Register(b.Context(), account.Registration{Email: name + "@example.com", Name: name, Password: "password"})
		if err != nil {
			b.Fatal(err)
		}
		ids[i] = u.ID
	}
	return ids
}
