package direct

import (
	"context"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
)

// What a person's connection that says nothing holds here, without its ws.Conn
// and with their inbox, which nobody else hears.
const idleBytes = 600

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

// heap is the bytes in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestWhatAnIdleConnectionHolds(t *testing.T) {
	if n := unsafe.Sizeof(socket{}); n != 176 {
		t.Errorf("a socket has %d bytes", n)
	}
	const n = 100_000
	h := hub.New(silence{}, hub.Options{Occupied: func(string, bool) {}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Run(ctx) }()
	defer func() { cancel(); <-done }()
	g := New(Options{Edge: &gateway.Edge{Hub: h, Epoch: "e"}})
	sockets, conn := make([]*socket, n), &nowhere{}
	before, were := heap(), runtime.NumGoroutine()
	for i := range sockets {
		s, id := &socket{g: g}, uint64(i+1000)
		s.LogIn(&g.logins, account.Login{ID: id, User: id, Created: time.Now(), Seen: time.Now(), Expires: time.Now()})
		s.Session = hub.Session{
			Conn: conn, Format: Format{User: id}, Topic: account.Inbox(id), User: id, Key: id,
			Credential: hub.CredentialOf(account.LoginCredential(id)),
		}
		if err := h.Subscribe(ctx, &s.Session, hub.Now()); err != nil {
			t.Fatal(err)
		}
		sockets[i] = s
	}
	for _, s := range sockets { // all are live
		if here, err := h.Presence(ctx, s.Topic); err != nil || here.Count != 1 {
			t.Fatal(here.Count, err)
		}
	}
	bytes, goroutines := float64(heap()-before)/n, runtime.NumGoroutine()-were
	runtime.KeepAlive(sockets)
	t.Logf("%.0f bytes a connection without its ws.Conn, %d goroutines more", bytes, goroutines)
	if bytes > idleBytes || goroutines > 0 {
		t.Errorf("%.0f bytes and %d goroutines", bytes, goroutines)
	}
}
