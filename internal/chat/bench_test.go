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
// its rule, its row, its commit. It prints beside the time the CPU time, the
// statements and the bytes written a message. "waiting" is how many messages
// are under way at once: whatever waits is one commit. One pair without refs
// is the least that there is to do; a thousand pairs whose messages each have
// a client's ref is what a server has.
func BenchmarkDirectMessage(b *testing.B) {
	for _, pairs := range []int{1, 1000} {
		st, j, _ := storetest.Start(b, b.TempDir())
		w := newWriting(b, st, j, pairs)
		for _, waiting := range []int{1, 10, 100, 1000} {
			b.Run(fmt.Sprint("pairs=", pairs, "/waiting=", waiting), func(b *testing.B) { w.benchmark(b, waiting) })
		}
	}
}

// writing is people who write to each other.
type writing struct {
	store   *store.Store
	journal *journal.Journal
	chats   *chat.Service
	pairs   [][2]uint64
	scopes  []string // of each sender's refs, none where there is one pair
	said    int
}

func newWriting(b *testing.B, st *store.Store, j *journal.Journal, pairs int) *writing {
	b.Helper()
	w := &writing{store: st, journal: j, pairs: make([][2]uint64, pairs)}
	var ann, budi uint64
	w.chats, ann, budi = friends(b, st, j)
	w.pairs[0] = [2]uint64{ann, budi}
	if pairs == 1 {
		return w
	}
	ids := more(b, st, j, 2*(pairs-1))
	var wg sync.WaitGroup
	for i := 1; i < pairs; i++ {
		w.pairs[i] = [2]uint64(ids[2*i-2:])
		wg.Go(func() { befriend(b, w.chats, w.pairs[i]) })
	}
	wg.Wait()
	for _, p := range w.pairs {
		w.scopes = append(w.scopes, "login/"+strconv.FormatUint(p[0], 10))
	}
	return w
}

const text = "Hai! Bagaimana kabarmu? Sampai jumpa nanti malam di warung."

// say sends the next message, by one pair after the other.
func (w *writing) say() *journal.Pending {
	i := w.said % len(w.pairs)
	w.said++
	var key journal.Key
	if w.scopes != nil {
		key = journal.Key{Scope: w.scopes[i], Ref: strconv.Itoa(w.said)}
	}
	return w.chats.Send(chat.Outgoing{From: w.pairs[i][0], To: w.pairs[i][1], Login: 1, Text: text}, key)
}

func (w *writing) benchmark(b *testing.B, waiting int) { //nolint:thelper // the benchmark itself
	statements, _ := w.store.Statements()
	bytesBefore, before := writtenBytes(b), w.journal.Stats()
	places := make(chan struct{}, waiting)
	var wg sync.WaitGroup
	done := func(_ journal.Result, err error) {
		if err != nil {
			b.Error(err)
		}
		<-places
		wg.Done()
	}
	b.ReportAllocs()
	b.ResetTimer()
	cpu := storetest.CPUTime(b)
	for range b.N {
		places <- struct{}{}
		wg.Add(1)
		w.say().Then(done)
	}
	wg.Wait()
	b.StopTimer()
	cpu = storetest.CPUTime(b) - cpu
	now, _ := w.store.Statements()
	n, stats := float64(b.N), w.journal.Stats()
	b.ReportMetric(n/b.Elapsed().Seconds(), "msgs/s")
	b.ReportMetric(float64(cpu.Nanoseconds())/n, "cpu-ns/msg")
	b.ReportMetric(float64(now-statements)/n, "stmts/msg")
	b.ReportMetric(float64(writtenBytes(b)-bytesBefore)/n, "written-B/msg")
	b.ReportMetric(float64(stats.Commits-before.Commits)/n, "commits/msg")
	if rows := stats.Messages - before.Messages; rows != uint64(b.N) {
		b.Errorf("%d rows for %d messages", rows, b.N)
	}
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

func people(b testing.TB, st *store.Store, j *journal.Journal) *account.Service {
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

func friends(b testing.TB, st *store.Store, j *journal.Journal) (*chat.Service, uint64, uint64) {
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
	befriend(b, chats, [2]uint64(ids))
	return chats, ids[0], ids[1]
}

func befriend(b testing.TB, chats *chat.Service, ids [2]uint64) {
	b.Helper()
	for i := range ids {
		if _, err := chats.Request(b.Context(), ids[i], ids[1-i]); err != nil {
			b.Error(err)
		}
	}
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
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			name := "p" + strconv.Itoa(i)
			u, err := accounts.Register(b.Context(), account.Registration{Email: name + "@example.com", Name: name, Password: "password"})
			if err != nil {
				b.Error(err)
			}
			ids[i] = u.ID
		})
	}
	wg.Wait()
	return ids
}
