package feed

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/remote"
)

// What a connection that says nothing holds here, without its ws.Conn.
const idleBytes = 300

// nowhere is a connection that takes everything.
type nowhere struct{ _ byte }

func (*nowhere) Share([]byte, func() []byte) bool { return true }
func (*nowhere) Send(...[]byte) bool              { return true }
func (*nowhere) Close(uint16, string)             {}

// silence is a log in which nothing was said.
type silence struct{ hub.Log }

func (silence) Head(context.Context, string) (uint64, error)  { return 0, nil }
func (silence) Floor(context.Context, string) (uint64, error) { return 1, nil }
func (silence) Watch(func(journal.Amended))                   {}
func (silence) Read(context.Context, string, uint64, int) ([]*journal.Message, error) {
	return nil, nil
}

// idle opens n sockets of listeners, each from its own address, and returns the
// bytes and the goroutines that they took.
func idle(tb testing.TB, n int) (bytes float64, goroutines int) {
	tb.Helper()
	h := hub.New(silence{}, hub.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Run(ctx) }()
	defer func() { cancel(); <-done }()
	g := New(Options{Edge: &gateway.Edge{Hub: h, Places: &gateway.Places{Most: 10}, Epoch: "e"}})
	sockets, conn := make([]*socket, n), &nowhere{}
	before, were := heap(), runtime.NumGoroutine()
	for i := range sockets {
		s := &socket{g: g}
		s.Session = hub.Session{Conn: conn, Format: g.formats[Format{}], Topic: chat.FeedTopic, Key: key(0, "")}
		address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1)
		if err := g.o.Edge.Places.Take(remote.From(address)); err != nil {
			tb.Fatal(err)
		}
		if err := h.Subscribe(ctx, &s.Session, hub.Now()); err != nil {
			tb.Fatal(err)
		}
		sockets[i] = s
	}
	for h.Stats().Sessions < int64(n) {
		time.Sleep(time.Millisecond)
	}
	if here, err := h.Presence(ctx, chat.FeedTopic); err != nil || here.Count != n { // all are live
		tb.Fatal(here.Count, err)
	}
	bytes, goroutines = float64(heap()-before)/float64(n), runtime.NumGoroutine()-were
	runtime.KeepAlive(sockets)
	return bytes, goroutines
}

// heap is the bytes in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestWhatAnIdleConnectionHolds(t *testing.T) {
	if n := unsafe.Sizeof(socket{}); n != 192 {
		t.Errorf("a socket has %d bytes", n)
	}
	bytes, goroutines := idle(t, 100_000)
	t.Logf("%.0f bytes a connection without its ws.Conn, %d goroutines more", bytes, goroutines)
	if bytes > idleBytes || goroutines > 0 {
		t.Errorf("%.0f bytes and %d goroutines", bytes, goroutines)
	}
}

// BenchmarkIdle is how many bytes connections hold that say nothing, without
// their ws.Conn.
func BenchmarkIdle(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint("connections=", n), func(b *testing.B) {
			for b.Loop() {
				bytes, goroutines := idle(b, n)
				b.ReportMetric(bytes, "B/connection")
				b.ReportMetric(float64(goroutines), "goroutines")
			}
		})
	}
}
