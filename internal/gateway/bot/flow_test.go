package bot_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/kabar-io/kabar/internal/gateway/bot"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/ws"
)

// patience is how long anything may take here. It is no measure of speed.
const patience = 60 * time.Second

// started is a server with these processes published.
func started(t *testing.T, r *rig, names ...string) *transcript.Server {
	t.Helper()
	s := transcript.Start(t, r.options())
	for _, name := range names {
		if err := r.publish(t.Context(), name, name); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// client is a connection that a test drives by hand.
type client struct {
	*websocket.Conn
	t   *testing.T
	ctx context.Context //nolint:containedctx // a client lives for one test
}

func dial(t *testing.T, s *transcript.Server, path string) *client {
	t.Helper()
	return dialBy(t, s, path, nil)
}

func dialBy(t *testing.T, s *transcript.Server, path string, by *http.Client) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	c, _, err := websocket.Dial(ctx, s.URL+path, &websocket.DialOptions{HTTPClient: by})
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(1 << 20)
	t.Cleanup(func() { _ = c.CloseNow() })
	return &client{c, t, ctx}
}

func (c *client) say(text string) {
	c.t.Helper()
	if err := c.Write(c.ctx, websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// answer is a frame of the server.
type answer struct {
	ID       *int   `json:"$id"`
	Push     bool   `json:"$push"`
	Response string `json:"response"`
	Error    struct{ Code string }
}

func (c *client) next() (a answer) {
	c.t.Helper()
	_, p, err := c.Read(c.ctx)
	if err == nil {
		err = json.Unmarshal(p, &a)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

func (c *client) hears(want string, push bool) {
	c.t.Helper()
	if a := c.next(); a.Response != want || a.Push != push {
		c.t.Fatalf("want %q (push %v), got %+v", want, push, a)
	}
}

// gate is a host that answers no call until it is opened.
type gate struct {
	open  chan struct{}
	calls atomic.Int64
}

func (g *gate) Call(ctx context.Context, _ process.Request) (process.Answer, error) {
	g.calls.Add(1)
	select {
	case <-g.open:
		return process.Answer{Status: http.StatusOK, Body: []byte(`{}`)}, nil
	case <-ctx.Done():
		return process.Answer{}, ctx.Err()
	}
}

// TestAStuckProcessDelaysItsOwnPeopleOnly has more connections stuck than an
// endpoint has executors, in frames and in triggers.
func TestAStuckProcessDelaysItsOwnPeopleOnly(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	r := &rig{caller: g}
	s := started(t, r, "stuck", "echo")
	var stuck []*client
	for range 30 {
		stuck = append(stuck, dial(t, s, "/stuck"))
	}
	stuck[0].say(`{"message":"to all"}`)
	stuck[0].hears("to all", false)
	stuck[0].say(`{"message":"wait"}`)
	for end := time.Now().Add(patience); g.calls.Load() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is stuck")
		}
	}
	a, b := dial(t, s, "/echo"), dial(t, s, "/echo")
	for i := range 20 {
		text := strconv.Itoa(i)
		a.say(`{"message":"` + text + `"}`)
		a.hears(text, false)
		a.say(`{"message":"tell ` + text + `"}`)
		a.hears("told", false)
		b.hears("tell "+text, true)
	}
	close(g.open)
	stuck[0].hears("wait", false)
	for _, c := range stuck[1:] {
		c.hears("to all", true)
	}
}

// TestAStuckFrameHoldsUpItsOwnConnection has frames wait their turn behind one
// that waits, and then be answered in order.
func TestAStuckFrameHoldsUpItsOwnConnection(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	s := started(t, &rig{caller: g}, "stuck")
	c := dial(t, s, "/stuck")
	c.say(`{"message":"wait"}`)
	for i := range 50 {
		c.say(fmt.Sprintf(`{"message":"%d"}`, i))
	}
	c.say(`nothing`)
	other := dial(t, s, "/stuck")
	other.say(`{"message":"x"}`)
	other.hears("x", false)
	close(g.open)
	c.hears("wait", false)
	seen := 0
	for i := 0; i < 50; {
		a := c.next()
		if a.Push {
			if a.Response != "x" {
				t.Fatalf("%+v", a)
			}
			seen++
			continue
		}
		if a.Response != strconv.Itoa(i) {
			t.Fatalf("%d is answered by %+v", i, a)
		}
		i++
	}
	for a := c.next(); a.Error.Code != "NOT_JSON"; a = c.next() {
		if !a.Push || seen > 0 {
			t.Fatalf("%+v", a)
		}
		seen++
	}
}

// TestAStuckFrameIsAnsweredBeforeTheEnd has a server stop while a frame runs:
// what a connection hears beside is no connection of its own to be closed.
func TestAStuckFrameIsAnsweredBeforeTheEnd(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	s := started(t, &rig{caller: g}, "stuck")
	c := dial(t, s, "/stuck")
	c.say(`{"message":"wait"}`)
	for end := time.Now().Add(patience); g.calls.Load() < 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is stuck")
		}
	}
	for _, left := range s.Hub.Close() {
		if _, socket := left.(*ws.Conn); !socket {
			left.Close(ws.CodeGoingAway, "retry-after-ms=0")
		}
	}
	close(g.open)
	c.hears("wait", false)
}

func TestAnswersKeepTheOrderOfTheirFrames(t *testing.T) {
	s := started(t, new(rig), "echo")
	a, b := dial(t, s, "/echo"), dial(t, s, "/echo")
	const n = 400
	done := make(chan struct{})
	go func() { // what b says comes to a in between
		defer close(done)
		for i := range n {
			b.say(fmt.Sprintf(`{"message":"tell %d"}`, i))
		}
	}()
	go func() {
		for i := range n {
			if a.Write(a.ctx, websocket.MessageText, fmt.Appendf(nil, `{"$id":%d,"message":"%d"}`, i, i)) != nil {
				return
			}
		}
	}()
	answers, pushes := 0, 0
	for answers < n || pushes < n {
		f := a.next()
		switch {
		case f.Push && f.ID == nil && f.Response == "tell "+strconv.Itoa(pushes):
			pushes++
		case !f.Push && f.ID != nil && *f.ID == answers && f.Response == strconv.Itoa(answers):
			answers++
		default:
			t.Fatalf("after %d answers and %d pushes came %+v", answers, pushes, f)
		}
	}
	<-done
	for range n {
		b.hears("told", false)
	}
}

// TestWhoDoesNotReadMissesNothing has more pushes wait than a connection and
// its queue of triggers take.
func TestWhoDoesNotReadMissesNothing(t *testing.T) {
	r := &rig{queue: 16 << 10}
	s := started(t, r, "echo")
	// The system's own buffers take little, so that ours are what fills up.
	narrow := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(128 << 10)
		}
		return c, err
	}}}
	t.Cleanup(narrow.CloseIdleConnections)
	c := dialBy(t, s, "/echo", narrow)
	pad := strings.Repeat("x", 8<<10)
	const n = 1500 // 12 MB
	topic := process.BotTopic("/echo")
	var last *journal.Pending
	for i := range n {
		last = s.Journal.Do(journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
			data, err := json.Marshal(process.Said{Process: "echo", Text: strconv.Itoa(i) + pad})
			return []*journal.Message{{Kind: process.KindSaid, Entries: journal.To(topic), Data: data}}, err
		}))
	}
	if _, err := last.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); s.Sockets.Stats().Drops == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("everything fitted: this tests nothing")
		}
	}
	for i := range n {
		if a := c.next(); !a.Push || a.Response != strconv.Itoa(i)+pad {
			t.Fatalf("the %dth is %.40s", i, a.Response)
		}
	}
	c.say(`{"message":"still here"}`)
	c.hears("still here", false)
}

func TestAFrameThatIsTooLong(t *testing.T) {
	s := started(t, new(rig), "echo")
	c := dial(t, s, "/echo")
	long := `{"message":"` + strings.Repeat("x", 64<<10-14) + `"}`
	c.say(long)
	if a := c.next(); len(a.Response) != 64<<10-14 {
		t.Fatalf("%.80s", a.Response)
	}
	_ = c.Write(c.ctx, websocket.MessageText, make([]byte, 1<<20)) // it may be cut off
	if _, _, err := c.Read(c.ctx); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Fatalf("1 MB: %v", err)
	}
}

// TestAProcessHasItsTime has one that takes too long answered with that.
func TestAProcessHasItsTime(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	s := started(t, &rig{caller: g}, "brief")
	c := dial(t, s, "/brief")
	c.say(`{"message":"x"}`)
	if a := c.next(); a.Error.Code != "PROCESS_TIMEOUT" {
		t.Fatalf("%+v", a)
	}
}

// TestCloseBreaksOff has a gateway that ends while something runs.
func TestCloseBreaksOff(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	r := &rig{caller: g}
	s := started(t, r, "stuck")
	a, b := dial(t, s, "/stuck"), dial(t, s, "/stuck")
	a.say(`{"message":"x"}`)
	a.hears("x", false)
	for end := time.Now().Add(patience); g.calls.Load() < 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is stuck")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.gateway.Close(ctx); err == nil {
		t.Error("it ended while something ran")
	}
	b.say(`{"message":"x"}`) // nobody answers any more
	if err := r.gateway.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestCloseCounts has much begin while the gateway ends: what was begun has ended
// when it has, and nothing begins after that.
func TestCloseCounts(t *testing.T) {
	r := &rig{}
	started(t, r)
	for range 100 {
		g := bot.New(bot.Options{Processes: r.processes})
		var begun, ended atomic.Int64
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 50 {
					if g.Start(func() { ended.Add(1) }) {
						begun.Add(1)
					}
				}
			})
		}
		if err := g.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := ended.Load(); g.Start(func() {}) {
			t.Fatalf("after %d, one began behind the end", n)
		}
		at := ended.Load()
		all.Wait()
		if begun.Load() != at || ended.Load() != at {
			t.Fatalf("%d had ended, %d ended, %d began", at, ended.Load(), begun.Load())
		}
	}
}
