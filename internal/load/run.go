package load

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

const (
	joinPatience = 15 * time.Second // with nobody new connecting
	losePatience = 10 * time.Second // with nothing of what is missing arriving
	clearTime    = time.Minute
	queueSize    = 1 << 16 // messages that are due and that no sender has taken up
)

// dialect is how one gateway is loaded.
type dialect interface {
	// setup makes what the load needs, and notes in the run how it is undone. It
	// returns the clients that are counted, and more that are needed beside them.
	setup(ctx context.Context) (counted, more []*client, err error)
	// dial opens a client's connection.
	dial(ctx context.Context, c *client) (*websocket.Conn, error)
	// hear takes a frame of a client's connection.
	hear(c *client, frame []byte)
	// senders is how many say messages at once, and how many each at a time.
	senders() (count, batch int)
	// say sends what is due, as one of the senders, and notes what became of it.
	say(ctx context.Context, sender int, due []message)
	// hearers is how many are to hear each message, when so many are connected.
	hearers(connected int) int
}

// run is one run of the load.
type run struct {
	// static
	o      Options
	id     string
	mark   []byte // what this run's messages begin with
	server *server
	dialer *http.Client
	load   dialect
	tally  *tally
	base   time.Time
	lose   time.Duration // how long it waits with nothing of what is missing arriving

	counted, more []*client     // set by prepare
	speaking      []*client     // set by gather: those who are connected, and to whom they speak is
	undo          []undo        // what was made
	began, ended  time.Duration // of the load
	joinTime      time.Duration // how long it took until all were connected
	idle          time.Duration // processor time before the load, and in it
	worked        time.Duration
	stage         stage
}

// stage is what is being made or taken away, and how much of it.
type stage struct {
	what        atomic.Pointer[string]
	done, total atomic.Int64
}

// undo takes away what was made.
type undo struct {
	what  string
	do    func(ctx context.Context) error // nil: there is no way
	stays string                          // what remains of it, "" for nothing
}

// now is the time since the run began.
func (r *run) now() time.Duration { return time.Since(r.base) }

// Run puts the load on a server. When ctx ends the load ends early, and the
// report says what was. The error says why there was none.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return newRun(o).do(ctx)
}

func (r *run) do(ctx context.Context) (*Report, error) {
	defer r.server.close()
	defer r.dialer.CloseIdleConnections()
	if err := r.server.greet(ctx); err != nil {
		return nil, err
	}
	if !r.o.Shared {
		if err := r.server.alone(ctx); err != nil {
			return nil, err
		}
	}
	r.step("preparing", 1)
	err := r.attended(Preparing, func() error { return r.prepare(ctx) })
	var clients sync.WaitGroup
	live, leave := context.WithCancel(context.WithoutCancel(ctx))
	if err == nil {
		_ = r.attended(Connecting, func() error { r.gather(ctx, live, &clients); return nil })
		if len(r.speaking) > 0 && ctx.Err() == nil {
			_ = r.attended(Loading, func() error { r.send(ctx, live); return nil })
		}
	}
	early := ctx.Err() != nil
	leave()
	clients.Wait()
	left := r.left(ctx)
	if err != nil && early {
		err = errors.New("interrupted before anything was measured")
	}
	if err != nil {
		return nil, errors.Join(err, leftBehind(left))
	}
	return r.report(left, early), nil
}

func newRun(o Options) *run {
	id := strings.ToLower(rand.Text()[:8])
	r := &run{
		o: o, id: id, mark: []byte("bench-" + id + "-"), server: newServer(o.URL, o.Key, o.TLS), tally: &tally{marks: make([]atomic.Uint32, o.messages())}, base: time.Now(), lose: losePatience,
		// Each connection becomes a WebSocket, and keeps these buffers.
		dialer: &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: o.TLS, ReadBufferSize: 2 << 10, WriteBufferSize: 2 << 10,
		}},
	}
	switch o.Gateway {
	case "feed":
		r.load = &feed{run: r}
	case "direct":
		r.load = &pairs{run: r, tongue: direct{r}}
	case "relay":
		r.load = &pairs{run: r, tongue: relay{r}}
	case "events":
		r.load = &events{run: r}
	case "bot":
		r.load = &bot{run: r}
	}
	return r
}

// step says what is made or taken away next, and how many of it.
func (r *run) step(what string, total int) {
	r.stage.what.Store(&what)
	r.stage.done.Store(0)
	r.stage.total.Store(int64(total))
}

// prepare makes what the load needs.
func (r *run) prepare(ctx context.Context) (err error) {
	r.counted, r.more, err = r.load.setup(ctx)
	return err
}

// left takes away what was made, and returns what cannot be, or is to stay.
func (r *run) left(ctx context.Context) (left []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clearTime)
	defer cancel()
	if r.o.Keep {
		for _, u := range r.undo {
			left = append(left, u.what+", kept as it is")
		}
		return left
	}
	r.step("clearing up", len(r.undo))
	_ = r.attended(Clearing, func() error {
		for i := range r.undo {
			u := r.undo[len(r.undo)-1-i]
			what := u.stays
			if u.do == nil && r.tally.acked.Load() == 0 {
				continue // nothing was said
			}
			if u.do != nil {
				if err := u.do(ctx); err != nil {
					what = u.what + ", which could not be taken away: " + err.Error()
				}
			}
			if what != "" {
				left = append(left, what)
			}
		}
		return nil
	})
	return left
}

func leftBehind(left []string) error {
	if len(left) == 0 {
		return nil
	}
	return errors.New("left behind: " + strings.Join(left, "; "))
}

// gather connects everybody, and waits until they are, or nobody else will be.
func (r *run) gather(ctx, live context.Context, clients *sync.WaitGroup) {
	all := append(append([]*client(nil), r.more...), r.counted...)
	joining, late := context.WithCancel(live)
	defer late()
	var settled atomic.Int64
	began, joined, moved := r.now(), int64(0), r.now()
	for launched := 0; ctx.Err() == nil && int(settled.Load()) < len(all); {
		due := min(int((r.now()-began).Seconds()*r.o.ConnectRate)+1, len(all))
		for ; launched < due; launched++ {
			c := all[launched]
			clients.Go(func() { r.live(live, joining, c, func() { settled.Add(1) }) })
			moved = r.now()
		}
		if n := r.tally.joined.Load(); n > joined {
			joined, moved = n, r.now()
		}
		if r.now()-moved > joinPatience {
			break
		}
		pause(ctx, 2*time.Millisecond)
	}
	r.joinTime = r.now() - began
	connected := 0
	for _, c := range r.counted {
		if c.joined.Load() {
			connected++
			if c.partner == nil || c.partner.joined.Load() {
				r.speaking = append(r.speaking, c)
			}
		}
	}
	r.tally.hearers.Store(int64(r.load.hearers(connected)))
}

// send sends messages at the rate, and waits for them to arrive.
func (r *run) send(ctx, live context.Context) {
	due := make(chan message, queueSize)
	count, batch := r.load.senders()
	saying, hush := context.WithCancel(live)
	defer hush()
	var senders sync.WaitGroup
	r.idle = busy()
	r.began = r.now()
	r.tally.warm.Store(int64(r.began + r.o.Warmup))
	for n := range count {
		senders.Go(func() {
			for m := range due {
				ms := append(make([]message, 0, batch), m)
				for len(ms) < batch {
					select {
					case m, more := <-due:
						if more {
							ms = append(ms, m)
							continue
						}
					default:
					}
					break
				}
				r.load.say(saying, n, ms)
			}
		})
	}
	r.pace(ctx, due)
	r.ended = r.now()
	r.worked = busy() - r.idle
	close(due)
	r.await(ctx)
	hush()
	senders.Wait()
}

// pace lets messages be due, one after another.
func (r *run) pace(ctx context.Context, due chan<- message) {
	for n := 0; n < r.o.messages(); {
		now := r.now()
		for ; n < r.o.messages() && float64(n) <= (now-r.began).Seconds()*r.o.Rate; n++ {
			r.tally.due.Add(1)
			select {
			case due <- message{n, now}:
			default:
				r.tally.notSent("the senders could not keep up")
			}
		}
		if r.hopeless() {
			return
		}
		next := r.began + time.Duration(float64(n)/r.o.Rate*float64(time.Second))
		if n == r.o.messages() {
			next = r.began + r.o.Duration
		}
		if !pause(ctx, min(max(next-r.now(), 0), 100*time.Millisecond)) {
			return
		}
	}
	pause(ctx, r.began+r.o.Duration-r.now())
}

// hopeless says whether the server takes no message at all.
func (r *run) hopeless() bool { return r.tally.refused.Load() >= 20 && r.tally.acked.Load() == 0 }

// await waits until all has arrived, or nothing more does. Whoever interrupted
// the load has less patience.
func (r *run) await(ctx context.Context) {
	patience := r.lose
	if ctx.Err() != nil {
		patience = time.Second
	}
	heard, moved := int64(-1), r.now()
	for !r.tally.complete() && r.now()-moved < patience {
		if n := r.tally.delivered.Load() + r.tally.acked.Load() + r.tally.sent.Load(); n != heard {
			heard, moved = n, r.now()
		}
		time.Sleep(5 * time.Millisecond)
		if ctx.Err() != nil {
			patience = min(patience, time.Second)
		}
	}
}
