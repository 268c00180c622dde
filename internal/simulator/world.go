package simulator

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Machine is what a server runs on.
type Machine struct {
	Folder   string // its data
	Listener net.Listener
	Dial     func(ctx context.Context, network, address string) (net.Conn, error) // to other hosts
}

// Start makes a server that serves when it is told to, until ctx ends, and then
// goes in peace.
type Start func(ctx context.Context, m Machine) (serve func(ctx context.Context) error, err error)

// world is one run.
type world struct {
	// static
	t        testing.TB
	seed     uint64
	template *Template
	start    Start
	base     string // where the folders are
	actors   []func()
	ledgers  []*ledger

	lines lines
	trace trace
	order atomic.Int64 // counts what happens
	life  atomic.Int64 // of the server: how often it was started
	sick  atomic.Bool  // its disk was

	quiet chan struct{} // closed when nothing is disturbed any more
	over  chan struct{} // closed at the end

	mu      sync.Mutex
	calm    map[int]func() // guarded by mu: what is to be done then
	next    int            // guarded by mu
	failed  bool           // guarded by mu
	zombies sync.WaitGroup // servers without power
}

// fail says that a promise was broken. The first one ends the run.
func (w *world) fail(p promise, format string, args ...any) {
	w.mu.Lock()
	first := !w.failed
	w.failed = true
	w.mu.Unlock()
	w.trace.add("BROKEN: "+format, args...)
	if first {
		w.t.Errorf("seed %d breaks a promise:\n  %s\n%s\nThe last that happened:\n%s\nAgain: go test ./cmd/kabar -run 'TestSimulator$' -seed %d -tries 20",
			w.seed, p, fmt.Sprintf(format, args...), w.trace.tail(60), w.seed)
	}
}

func (w *world) hasFailed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// troubled says that the disk failed at some time, so that nothing is promised
// about when.
func (w *world) troubled() bool { return w.sick.Load() }

func (w *world) isCalm() bool {
	select {
	case <-w.quiet:
		return true
	default:
		return false
	}
}

// whenCalm has something done when the rough time ends, until it is stopped.
func (w *world) whenCalm(do func()) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next++
	n := w.next
	w.calm[n] = do
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.calm, n)
	}
}

func (w *world) calmDown() {
	close(w.quiet)
	w.mu.Lock()
	all := slices.Collect(maps.Values(w.calm))
	w.mu.Unlock()
	for _, do := range all {
		do()
	}
	w.trace.add("nothing is disturbed any more")
}

// pause waits; false where the run has ended.
func (w *world) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.over:
		return false
	}
}

// doze waits, but not longer than the rough time lasts.
func (w *world) doze(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-w.quiet:
	}
}

// Run runs one seed; t fails where a promise is broken.
func Run(t *testing.T, template *Template, start Start, seed uint64) {
	t.Helper()
	base := folder(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, template, start, seed, base)
		w.populate()
		w.run()
	})
}

func newWorld(t testing.TB, template *Template, start Start, seed uint64, base string) *world {
	t.Helper()
	return &world{
		t: t, seed: seed, template: template, start: start, base: base,
		quiet: make(chan struct{}), over: make(chan struct{}), calm: map[int]func(){},
	}
}

// folder is a place that costs nothing to write to, where there is one.
func folder(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "kabar-simulator-")
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// The bounds of a run, by its own clock.
const (
	roughTime = 12 * time.Second
	calmTime  = 10 * time.Minute // nothing that is owed takes longer
)

func (w *world) run() {
	time.Sleep(time.Hour) // after the template was made
	began := time.Now()
	w.trace.began = began
	done := make(chan struct{})
	go func() {
		w.operate(w.template.image)
		close(done)
	}()
	var acting sync.WaitGroup
	for _, act := range w.actors {
		acting.Go(act)
	}
	for time.Since(began) < roughTime && !w.hasFailed() {
		time.Sleep(100 * time.Millisecond)
	}
	w.calmDown()
	for end := time.Now().Add(calmTime); w.missing() > 0 && !w.hasFailed() && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	if !w.hasFailed() {
		time.Sleep(2 * time.Second) // for what comes twice
		for _, l := range w.ledgers {
			l.audit()
		}
	}
	close(w.over)
	acting.Wait()
	<-done
	w.zombies.Wait()
	w.t.Log(w.summary(time.Since(began)))
}

// summary is what a run came to.
func (w *world) summary(took time.Duration) string {
	said, acked, connections, heard := 0, 0, 0, 0
	for _, l := range w.ledgers {
		for _, s := range l.said {
			said++
			if s.acked != 0 {
				acked++
			}
		}
		for _, r := range l.receivers {
			connections += len(r.hearings)
			for _, h := range r.hearings {
				heard += len(h.heard)
			}
		}
	}
	return fmt.Sprintf("%v of its own time, %d lives, %d said, %d acknowledged, heard %d times over %d connections",
		took.Round(time.Millisecond), w.life.Load(), said, acked, heard, connections)
}

func (w *world) missing() (n int) {
	for _, l := range w.ledgers {
		n += l.missing()
	}
	return n
}

// operate starts the server again and again, as the seed says, until the run
// is over.
func (w *world) operate(i Image) {
	random := rand.New(rand.NewPCG(w.seed, 0))
	for rough := true; rough; {
		i, rough = w.live(i, random)
		if rough {
			w.doze(time.Duration(random.Int64N(int64(2 * time.Second))))
		}
	}
}

// live is one life of the server. more says that there is to be another.
func (w *world) live(i Image, random *rand.Rand) (left Image, more bool) {
	life := w.life.Add(1)
	at := filepath.Join(w.base, fmt.Sprint("life", life))
	power := make(chan struct{})
	l := w.lines.listen(serverAddress)
	d := newDisk(i, rand.New(rand.NewPCG(random.Uint64(), 3)))
	cut := sync.OnceFunc(func() {
		l.sever() // nobody hears any more what the server says, and then the rest is lost
		d.lose()
		close(power)
	})
	d.cut = cut
	if err := w.template.unpack(at, i); err != nil {
		w.t.Error(err)
		return i, false
	}
	unmount := mount(at, d)
	ctx, stop := context.WithCancel(context.Background())
	var end <-chan time.Time
	after := time.Duration(random.Int64N(int64(6 * time.Second)))
	fate, operations := random.IntN(4), 1+random.IntN(400)
	if !w.isCalm() {
		switch fate {
		case 0:
			end = time.After(after)
		case 1:
			d.cutAfter(operations)
		default:
			timer := time.AfterFunc(after, cut)
			defer timer.Stop()
			defer w.whenCalm(func() { timer.Stop() })()
		}
	}
	serve, err := w.start(ctx, Machine{Folder: at, Listener: l, Dial: w.dialOut})
	served := make(chan error, 1)
	if err == nil {
		w.trace.add("life %d begins", life)
		go func() { served <- serve(ctx) }()
	} else {
		served <- err
		if !d.gone() {
			w.fail(other, "the server does not start: %v", err)
		}
	}
	bury := func() {
		stop()
		<-served
		unmount()
	}
	calm := w.quiet
	for {
		select {
		case <-calm: // no more power cuts
			d.cutAfter(0)
			calm, end = nil, nil
		case <-power:
			w.trace.add("life %d: the power is cut", life)
			w.zombies.Go(bury)
			return d.lose(), true
		case <-end:
			w.trace.add("life %d is to end", life)
			return w.shut(d, stop, served, unmount, power), true
		case err := <-served:
			if !d.gone() {
				w.fail(other, "the server ended by itself: %v", err)
			}
			stop()
			unmount()
			return d.image(), !w.hasFailed()
		case <-w.over:
			return w.shut(d, stop, served, unmount, power), false
		}
	}
}

// shut ends the server in peace, if the power lasts so long.
func (w *world) shut(d *Disk, stop func(), served <-chan error, unmount func(), power <-chan struct{}) Image {
	stop()
	select {
	case err := <-served:
		unmount()
		if err != nil && !d.gone() {
			w.fail(other, "the server was told to stop, and said: %v", err)
		}
	case <-power:
		w.zombies.Go(func() {
			<-served
			unmount()
		})
	}
	if d.gone() {
		return d.lose()
	}
	return d.image()
}

// dialOut is how the server reaches other hosts.
func (w *world) dialOut(_ context.Context, _, address string) (net.Conn, error) {
	wire, err := w.lines.dial(address, plain, rand.New(rand.NewPCG(w.seed, uint64(w.order.Add(1)))))
	if err != nil {
		return nil, err
	}
	return wire.client, nil
}
