package canary_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/canary"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store/storetest"
	"github.com/kabar-io/kabar/internal/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// said is a format that writes what is said.
type said struct{}

func (said) Append(dst []byte, m *journal.Message, _ uint64) []byte {
	return ws.AppendText(dst, append([]byte("said: "), m.Data...))
}

// world is a server with nothing but a canary.
type world struct {
	*canary.Canary
	t       *testing.T
	journal *journal.Journal
	hub     *hub.Hub
	addr    string

	kept     atomic.Int64
	dialed   atomic.Int64
	full     atomic.Bool // the disk is
	occupied atomic.Bool
	closed   atomic.Bool // nobody gets in
	broken   atomic.Bool // the journal can store nothing
	deaf     atomic.Bool // connections carry one thing that is said, and no other
	brief    atomic.Bool // connections end behind the first thing that is said
}

// wire is a connection to the server that may be deaf or brief.
type wire struct {
	net.Conn
	w     *world
	heard bool // owned by who reads
}

func (c *wire) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !strings.Contains(string(p[:n]), "said: ") {
			return n, err
		}
		if first := !c.heard; first || !c.w.deaf.Load() && !c.w.brief.Load() {
			c.heard = true
			return n, err
		}
		if c.w.brief.Load() {
			return 0, errors.New("the connection was cut")
		}
	}
}

func start(t *testing.T, patience time.Duration) *world {
	t.Helper()
	w := &world{t: t}
	st, err := storetest.Open(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(t.Context(), journal.Options{Store: storetest.Failing(st, &w.broken), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w.journal = j
	w.hub = hub.New(j, hub.Options{Shards: 1, Occupied: func(string, bool) { w.occupied.Store(true) }})
	sockets := ws.New(ws.Options{Log: slog.New(slog.DiscardHandler)})
	say := func(text string) *journal.Message { return &journal.Message{Kind: "said", Data: []byte(text)} }
	w.Canary = canary.New(canary.Options{
		Hub: w.hub, Journal: j, Every: 10 * time.Millisecond, Patience: patience,
		Gateways: []canary.Gateway{{Name: "one", Format: said{}, Say: say}, {Name: "two", Format: said{}, Say: say}},
		Keep: func(*journal.Tx, string) error {
			if w.kept.Add(1); w.full.Load() {
				return errors.New("the disk is full")
			}
			return nil
		},
		Dial: func(ctx context.Context) (net.Conn, error) {
			if w.dialed.Add(1); w.closed.Load() {
				return nil, errors.New("the door is closed")
			}
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", w.addr)
			return &wire{Conn: conn, w: w}, err
		},
	})
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = l.Addr().String()
	h := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Minute}
	live, cancel := context.WithCancel(context.Background())
	flying, ground := context.WithCancel(context.Background())
	var running, flock sync.WaitGroup
	running.Go(func() { _ = j.Run(live, func([]*journal.Message) {}) })
	running.Go(func() { _ = w.hub.Run(live) })
	running.Go(func() { _ = gateway.Serve(l, sockets, func(string) ws.Acceptor { return w.Accept }, h) })
	flock.Go(func() { _ = w.Run(flying) })
	t.Cleanup(func() {
		ground()
		flock.Wait()
		if err := errors.Join(sockets.Shutdown(context.Background(), nil), h.Shutdown(context.Background())); err != nil {
			t.Error(err)
		}
		cancel()
		running.Wait()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) eventually(what string, is func() bool) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("never: %s; %v", what, w.Health())
		}
	}
}

// Health is why it is failing.
func (w *world) Health() error {
	_, why := w.Failing()
	return why
}

// arrives waits until more arrived on each gateway, and all is well.
func (w *world) arrives() {
	w.t.Helper()
	before := w.Stats()
	w.eventually("it arrives", func() bool {
		now := w.Stats()
		return now[0].Count > before[0].Count+1 && now[1].Count > before[1].Count+1 && w.Health() == nil
	})
}

func (w *world) fails(words ...string) {
	w.t.Helper()
	w.eventually("it fails with "+strings.Join(words, ", "), func() bool {
		err := w.Health()
		for _, word := range append(words, "all gateways (since 2") {
			if err == nil || !strings.Contains(err.Error(), word) {
				return false
			}
		}
		return true
	})
	for _, s := range w.Stats() {
		if s.OK {
			w.t.Errorf("%+v", s)
		}
	}
}

func TestItArrivesAndNobodySeesIt(t *testing.T) {
	w := start(t, time.Minute)
	w.arrives()
	for _, s := range w.Stats() {
		if !s.OK || s.Sum <= 0 || s.Buckets[5] > s.Count {
			t.Errorf("%+v", s)
		}
	}
	if w.kept.Load() == 0 {
		t.Error("nothing was made durable")
	}
	if n := w.journal.Stats().Messages; n > 0 || w.hub.Stats().Sessions != 0 || w.occupied.Load() {
		t.Errorf("%d messages are kept, %d clients are there; occupied: %v", n, w.hub.Stats().Sessions, w.occupied.Load())
	}
	for _, key := range []string{"", "wrong"} {
		_, answer, err := websocket.Dial(t.Context(), "ws://"+w.addr+canary.Path+"one", &websocket.DialOptions{HTTPHeader: http.Header{"Kabar-Canary": {key}}})
		if err == nil || answer == nil || answer.StatusCode != http.StatusNotFound {
			t.Errorf("somebody else with %q: %+v, %v", key, answer, err)
		}
	}
	var none *canary.Canary
	if _, err := none.Failing(); err != nil || len(none.Stats()) > 0 {
		t.Error(err)
	}
}

// What does not arrive is found, with the place where it stopped, and found
// again to be well.
func TestWhereItStops(t *testing.T) {
	w := start(t, 500*time.Millisecond)
	// A failure that is believed lasts for two times; each part waits for the next one to be well.
	w.full.Store(true)
	w.fails("not stored: ", "disk is full")
	w.full.Store(false)
	w.arrives()

	w.closed.Store(true)
	w.fails("not let in", "the door is closed")
	w.closed.Store(false)
	w.arrives()

	hold := make(chan struct{})
	stuck := w.journal.Do(journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
		<-hold
		return nil, nil
	}))
	w.fails("not stored within 500ms")
	close(hold)
	if _, err := stuck.Wait(context.Background()); err != nil {
		t.Error(err)
	}
	w.arrives()

	// A connection that blocks the shard, as none may.
	b := &blocking{hold: make(chan struct{}), held: make(chan struct{}, 1)}
	s := &hub.Session{Conn: b, Format: said{}, Topic: "elsewhere", Inside: hub.Own}
	if err := w.hub.Subscribe(t.Context(), s, hub.Now()); err != nil {
		t.Fatal(err)
	}
	w.hub.Tell("elsewhere", &journal.Message{Kind: "said", Data: []byte("x")}, nil)
	<-b.held
	w.fails("stored, and not delivered within 500ms")
	close(b.hold)
	w.arrives()
	w.hub.Unsubscribe(s)
}

// Who was connected before must hear, too: that a new connection does is not
// enough.
func TestWhoWasConnected(t *testing.T) {
	w := start(t, 500*time.Millisecond)
	w.arrives()
	w.deaf.Store(true)
	w.fails("who was connected before: what was said was stored, and not delivered within 500ms")
	w.deaf.Store(false)
	w.arrives()
	w.brief.Store(true)
	w.fails("who was connected before: a connection ended")
	w.brief.Store(false)
	w.arrives()
}

// What the journal knows of is not the canary's trouble, and none after it.
func TestTheJournalsTrouble(t *testing.T) {
	w := start(t, 5*time.Second)
	w.arrives()
	w.broken.Store(true)
	for before := w.dialed.Load(); w.dialed.Load() < before+8; time.Sleep(5 * time.Millisecond) {
		if err := w.Health(); err != nil {
			t.Fatal(err)
		}
	}
	w.broken.Store(false)
	for before := w.Stats(); w.Stats()[0].Count < before[0].Count+3; time.Sleep(5 * time.Millisecond) {
		if err := w.Health(); err != nil {
			t.Fatal(err)
		}
	}
}

// blocking is a connection whose Send waits.
type blocking struct{ hold, held chan struct{} }

func (b *blocking) Send(...[]byte) bool {
	b.held <- struct{}{}
	<-b.hold
	return true
}

func (b *blocking) Share(p []byte, _ func() []byte) bool { return b.Send(p) }

func (*blocking) Close(uint16, string) {}
