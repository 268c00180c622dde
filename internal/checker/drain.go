package checker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// DrainOptions says how many sessions are to come back from a restart.
type DrainOptions struct {
	Options      // of these Binary, Folder, Seed, Flags, Env and Log
	Sessions int // 0 is 15,000
	Connects int // the server's limit.connects, a second; 0 is 1,000
}

// The sessions' streams: each has a publisher that goes on all the time.
const (
	drainPause = 2000 * time.Millisecond // between two messages of a stream
	drainTime  = 2 * time.Minute         // for all to be back, beyond what they were told
)

// drain is a run that stops a server in peace, under many sessions.
type drain struct {
	// static
	o       *DrainOptions
	server  *server
	kit     *kit
	found   *findings
	streams []*drained
	began   time.Time

	mu       sync.Mutex
	here     int             // guarded by mu; sessions that are connected
	stopped  time.Time       // guarded by mu; when the server was told to stop
	told     []time.Duration // guarded by mu; for how long somebody was told to stay away
	returned []time.Duration // guarded by mu; when somebody was back, after that
	late     []time.Duration // guarded by mu; how much later than told
	counted  []counted       // owned by count, until it has ended
	rep      DrainReport     // guarded by mu
}

// drained is a stream of a drain, with its sessions.
type drained struct {
	ledger   *ledger
	topic    string
	sessions []*homecomer
}

// homecomer is a session that comes back when it was told to, and goes on where
// it was. Its number is all that it remembers.
type homecomer struct {
	stream *drained
	name   string
	random *rand.Rand
	open   func(ctx context.Context, h *homecomer) (source, error)

	mu   sync.Mutex
	last uint64    // guarded by mu
	due  time.Time // owned by follow; when it is to come back
}

// counted is how many the server had let in, at a moment between two.
type counted struct {
	from, to time.Time
	n        int
}

// Drain has many sessions connected to a server, stops it with SIGTERM, starts
// it again, and reconciles what they heard. The error says why the run could not
// be made; what was found is in the report, see DrainReport.Err.
func Drain(ctx context.Context, o DrainOptions) (*DrainReport, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Sessions == 0 {
		o.Sessions = 15_000
	}
	if o.Connects == 0 {
		o.Connects = 1000
	}
	folder := o.Folder
	if folder == "" {
		var err error
		if folder, err = os.MkdirTemp("", "kabar-drain-"); err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(folder) }()
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	d := &drain{o: &o, found: &findings{name: "drain"}, began: time.Now()}
	var err error
	if d.server, err = newServer(ctx, &o.Options, folder); err != nil {
		return nil, err
	}
	defer d.server.close()
	// As it is in use, but that all come from one address.
	d.server.limits = []string{fmt.Sprintf("--limit-connects=%d/s", o.Connects), "--limit-connections=0", "--keepalive-ping=25s", "--canary-every=0s"} // whose connections are let in beside that
	d.kit = newKit(&o.Options, d.server)
	err = d.run(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.report(), err
}

func (d *drain) say(format string, args ...any) {
	_, _ = fmt.Fprintf(d.o.Log, "%6.1f s  %s\n", time.Since(d.began).Seconds(), fmt.Sprintf(format, args...))
}

func (d *drain) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	if err := d.server.up(ctx); err != nil {
		return err
	}
	c := newClient(d.kit.base, false)
	defer c.close()
	publishers, err := d.prepare(ctx, c)
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	var saying sync.WaitGroup
	for _, p := range publishers {
		saying.Go(func() { p(ctx, stop) })
	}
	defer saying.Wait()
	defer cancel()
	if err := d.connect(ctx, &all); err != nil {
		return err
	}
	d.say("%d sessions are connected; the server has %s of memory", d.o.Sessions, d.server.memory())
	pause(ctx, 2*time.Second)
	if err := d.restart(ctx); err != nil {
		return err
	}
	if err := d.home(ctx); err != nil {
		return err
	}
	pause(ctx, 2*time.Second)
	close(stop)
	saying.Wait()
	catchUp(ctx, d.behind, func() time.Duration { return quietTime })
	d.judge()
	d.rep.Memory, d.rep.Behind = d.server.memory(), d.behind()
	d.say("%d messages were acknowledged; the slowest session lacks %d", d.acked(), d.behind())
	cancel() // nobody is to come back from this
	all.Wait()
	return d.server.stop()
}

// prepare makes the streams, their sessions and their publishers.
func (d *drain) prepare(ctx context.Context, c *client) ([]publisher, error) {
	k := d.kit
	k.o.Pause = drainPause
	feed := &feed{kit: k, cast: cast{found: d.found}, client: c}
	lines := &drained{ledger: newLedger(d.found, "feed"), topic: "feed"}
	feed.ledgers = []*ledger{lines.ledger}
	events := &drained{ledger: newLedger(d.found, "instance/drain"), topic: "instance/drain"}
	e, err := k.emitter(ctx, c, "drain", events.ledger)
	if err != nil {
		return nil, err
	}
	d.streams = []*drained{lines, events}
	for n := range d.o.Sessions {
		h := &homecomer{random: k.random()}
		switch n % 20 {
		case 0, 2, 4, 6, 8, 10, 12, 14, 16, 18:
			h.stream, h.name = lines, fmt.Sprintf("feed session %d", n)
			h.open = d.socket(c, func(last uint64) string { return fmt.Sprintf("/websocket?format=json&after=%d", last) }, decodeLine)
		case 19:
			h.stream, h.name = events, fmt.Sprintf("event stream %d", n)
			h.open = d.sse(c, e)
		default:
			h.stream, h.name = events, fmt.Sprintf("events session %d", n)
			h.open = d.socket(c, func(last uint64) string { return e.path(fmt.Sprintf("&after=%d", last)) }, e.decode)
		}
		h.stream.sessions = append(h.stream.sessions, h)
	}
	post := post{found: d.found, acked: lines.ledger.ack, number: 0, size: one, say: feed.say}
	return []publisher{post.publisher(k), e.post(1, one).publisher(k)}, nil
}

// later is a refusal that says when to come back.
type later struct{ after time.Duration }

func (l *later) Error() string { return fmt.Sprintf("busy for %v", l.after) }

// socket opens a WebSocket after what a session has.
func (d *drain) socket(c *client, path func(last uint64) string, decode func([]byte) (frame, error)) func(context.Context, *homecomer) (source, error) {
	return func(ctx context.Context, h *homecomer) (source, error) {
		short, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		//nolint:bodyclose // Dial closes it
		ws, resp, err := websocket.Dial(short, "ws"+strings.TrimPrefix(c.base, "http")+path(h.at()), &websocket.DialOptions{HTTPClient: c.http})
		if err != nil {
			if resp != nil && resp.StatusCode == http.StatusServiceUnavailable {
				if seconds, perr := strconv.Atoi(resp.Header.Get("Retry-After")); perr == nil {
					return nil, &later{time.Duration(seconds) * time.Second}
				}
			}
			return nil, err
		}
		return &socket{ws: ws, decode: decode, closed: func() {}}, nil
	}
}

// sse follows Server-Sent Events.
func (d *drain) sse(c *client, e *emitter) func(context.Context, *homecomer) (source, error) {
	return func(ctx context.Context, h *homecomer) (source, error) {
		s, err := c.events(ctx, e.path("&after=0"), strconv.FormatUint(h.at(), 10))
		if err != nil {
			return nil, err
		}
		s.closed = func() {}
		s.decode = func(_ string, data []byte) (frame, error) { return e.decode(data) }
		return s, nil
	}
}

// connect brings everybody in, a little slower than the server would let them.
func (d *drain) connect(ctx context.Context, all *sync.WaitGroup) error {
	every := time.Second / time.Duration(d.o.Connects) * 5 / 4
	next := time.Now()
	for _, s := range d.streams {
		for _, h := range s.sessions {
			all.Go(func() { d.follow(ctx, h) })
			next = next.Add(every)
			pause(ctx, time.Until(next))
		}
	}
	return d.all(ctx, "connected", drainTime)
}

// all waits until everybody is connected.
func (d *drain) all(ctx context.Context, what string, within time.Duration) error {
	for late := time.Now().Add(within); ; {
		d.mu.Lock()
		here := d.here
		d.mu.Unlock()
		switch {
		case here == d.o.Sessions:
			return nil
		case time.Now().After(late):
			return fmt.Errorf("only %d of %d sessions were %s within %v; the server's log ends with:\n%s", here, d.o.Sessions, what, within, d.server.tail())
		case d.server.dead():
			return d.server.died("with its sessions")
		case !pause(ctx, 10*time.Millisecond):
			return ctx.Err()
		}
	}
}

// follow is a session's life.
func (d *drain) follow(ctx context.Context, h *homecomer) {
	for ctx.Err() == nil {
		src, err := h.open(ctx, h)
		if err == nil {
			d.came(h)
			err = d.listen(ctx, h, src)
			src.close()
			d.left()
		}
		if ctx.Err() == nil {
			pause(ctx, d.wait(h, err))
		}
	}
}

func (d *drain) listen(ctx context.Context, h *homecomer, src source) error {
	for {
		f, err := src.next(ctx)
		if err != nil {
			return err
		}
		h.stream.ledger.number(h.name, h.stream.topic, f.seq, f.id)
		h.mu.Lock()
		switch {
		case f.seq > h.last+1:
			d.found.add(Lost, "%s heard %d after %d", h.name, f.seq, h.last)
		case f.seq <= h.last:
			d.found.add(Doubled, "%s heard %d after %d", h.name, f.seq, h.last)
		}
		h.last = f.seq
		h.mu.Unlock()
	}
}

func (h *homecomer) at() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

func (d *drain) came(h *homecomer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.here++
	if !d.stopped.IsZero() {
		d.returned = append(d.returned, time.Since(d.stopped))
		d.late = append(d.late, time.Since(h.due))
	}
}

func (d *drain) left() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.here--
}

// wait is how long a session stays away, after what ended it: exactly as long as
// it was told, and where nobody answers a second or so.
func (d *drain) wait(h *homecomer, err error) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	var closed websocket.CloseError
	var busy *later
	var no *refused
	switch {
	case errors.As(err, &busy):
		d.rep.Refused++
		return busy.after
	case errors.As(err, &closed):
		text, ok := strings.CutPrefix(closed.Reason, "retry-after-ms=")
		ms, perr := strconv.Atoi(text)
		if !ok || perr != nil || closed.Code != websocket.StatusGoingAway {
			d.found.add(Other, "%s was closed with %d %q", h.name, closed.Code, closed.Reason)
			break
		}
		after := time.Duration(ms) * time.Millisecond
		d.told, h.due = append(d.told, after), time.Now().Add(after)
		return after
	case errors.As(err, &no):
		d.found.add(Other, "%s cannot go on: %v", h.name, err)
	case h.stream.ledger.count() == 0:
	default:
		d.rep.Unanswered++
	}
	return time.Second + time.Duration(h.random.IntN(1000))*time.Millisecond
}

// restart stops the server as an operator does, and starts it at once.
func (d *drain) restart(ctx context.Context) error {
	d.mu.Lock()
	d.stopped = time.Now()
	d.mu.Unlock()
	if err := d.server.stop(); err != nil {
		return err
	}
	ended := time.Since(d.stopped)
	err := d.server.up(ctx)
	ready := time.Since(d.stopped)
	d.mu.Lock()
	d.rep.Ended, d.rep.Ready = ended, ready
	d.mu.Unlock()
	d.say("told to stop, it ended after %v, and another was ready after %v", ended.Round(time.Millisecond), ready.Round(time.Millisecond))
	return err
}

// home waits until everybody is back.
func (d *drain) home(ctx context.Context) error {
	d.mu.Lock()
	window := slices.Max(append(d.told, 0))
	if n := len(d.told); n != d.o.Sessions {
		d.found.add(Other, "of %d sessions %d were told when to come back", d.o.Sessions, n)
	}
	d.mu.Unlock()
	counting, stop := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { d.count(counting) })
	err := d.all(ctx, "back", window+drainTime)
	stop()
	done.Wait()
	if err != nil {
		return err
	}
	d.say("all are back")
	return nil
}

// count asks the server again and again how many it let in.
func (d *drain) count(ctx context.Context) {
	for pause(ctx, 50*time.Millisecond) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.server.url("/metrics"), http.NoBody)
		if err != nil {
			return
		}
		r.Header.Set("apikey", d.server.key)
		from := time.Now()
		resp, err := d.server.client.Do(r)
		if err != nil {
			continue
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		_, rest, ok := strings.Cut(string(b), "\nkabar_ws_accepted_total ")
		line, _, _ := strings.Cut(rest, "\n")
		n, perr := strconv.ParseFloat(line, 64)
		if err != nil || !ok || perr != nil {
			d.found.add(Other, "the server does not say how many it let in: %d, %v, %q", resp.StatusCode, err, line)
			return
		}
		d.counted = append(d.counted, counted{from, time.Now(), int(n)})
	}
}

// behind is how much the slowest session lacks of what was acknowledged.
func (d *drain) behind() int {
	most := 0
	for _, s := range d.streams {
		head := uint64(0)
		s.ledger.mu.Lock()
		for _, a := range s.ledger.acked {
			head = max(head, a.seq)
		}
		s.ledger.mu.Unlock()
		for _, h := range s.sessions {
			most = max(most, int(head)-int(min(head, h.at())))
		}
	}
	return most
}

func (d *drain) acked() int {
	n := 0
	for _, s := range d.streams {
		n += s.ledger.count()
	}
	return n
}

// judge compares what was acknowledged with what stands under its number.
func (d *drain) judge() {
	for _, s := range d.streams {
		s.ledger.mu.Lock()
		for i, a := range s.ledger.acked {
			if have := s.ledger.numbers[s.topic][a.seq]; have != a.id {
				d.found.add(Lost, "%v was acknowledged as %s at %d of %s, where everybody heard %q", i, a.id, a.seq, s.topic, have)
			}
		}
		s.ledger.mu.Unlock()
		for _, h := range s.sessions {
			if h.at() == 0 {
				d.found.add(Lost, "%s heard nothing", h.name)
			}
		}
	}
}
