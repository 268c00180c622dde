package simulator

import (
	"cmp"
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
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Machine is what a server runs on.
type Machine struct {
	Seed     uint64 // of the run, where settings may differ
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
	o        Options
	seed     uint64
	template *Template
	start    Start
	base     string // where the folders are
	people

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
	broken  promise        // guarded by mu: the first, "" while all hold
	report  string         // guarded by mu
	zombies sync.WaitGroup // servers without power
}

// people are who takes part.
type people struct {
	actors  []func()
	ledgers []*ledger
	owed    []func() int // what else is still to come
	audits  []func()     // and what of it came
}

// fail says that a promise was broken. The first one ends the run.
func (w *world) fail(p promise, format string, args ...any) {
	w.trace.add("BROKEN: "+format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == "" {
		w.broken = p
		w.report = fmt.Sprintf("seed %d breaks a promise:\n  %s\n%s\nWhat happened last:\n%s", w.seed, p, fmt.Sprintf(format, args...), w.trace.tail(cmp.Or(w.o.Trace, 60)))
	}
}

func (w *world) hasFailed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken != ""
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

// Options is what is done to a run beside what its seed says.
type Options struct {
	// Lying is a disk that says it has synced, and has not: as with SQLite's
	// synchronous=OFF.
	Lying bool
	// Trace is how many lines of what happened are told; 60.
	Trace int
}

// Run runs one seed. It returns the promise that was broken, "" for none, and
// what happened.
func Run(t *testing.T, template *Template, start Start, seed uint64, o Options) (broken, report string) {
	t.Helper()
	base := folder(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(template, start, seed, base)
		w.o = o
		w.populate()
		took := w.run()
		if broken, report = string(w.broken), w.report; broken == "" {
			report = w.summary(took)
		}
	})
	return broken, report
}

func newWorld(template *Template, start Start, seed uint64, base string) *world {
	return &world{
		seed: seed, template: template, start: start, base: base,
		quiet: make(chan struct{}), over: make(chan struct{}), calm: map[int]func(){},
	}
}

// folder is a place that costs nothing to write to, where there is one.
func folder(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "kabar-simulator-") //nolint:usetesting // in memory
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// The bounds of a run, by its own clock.
const (
	roughTime = 10 * time.Second
	calmTime  = 10 * time.Minute // nothing that is owed takes longer
	longAgo   = 100 * time.Hour  // what is kept goes at this age, as cmd/kabar sets it for its runs: some in each life
)

func (w *world) run() (took time.Duration) {
	time.Sleep(longAgo) // after the template was made
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
		for _, audit := range w.audits {
			audit()
		}
	}
	close(w.over)
	acting.Wait()
	<-done
	w.zombies.Wait()
	return time.Since(began)
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
	for _, owed := range w.owed {
		n += owed()
	}
	return n
}

// operate starts the server again and again, as the seed says, until the run
// is over.
func (w *world) operate(i Image) {
	random := generator(w.seed, 0)
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
	d := newDisk(i, generator(random.Uint64(), 3))
	cut := sync.OnceFunc(func() {
		l.sever() // nobody hears any more what the server says, and then the rest is lost
		d.lose()
		close(power)
	})
	d.cut, d.lies = cut, w.o.Lying
	slow := time.Duration(random.IntN(4)) * beat
	if err := w.template.unpack(at, i); err != nil {
		w.fail(other, "making the data folder: %v", err)
		return i, false
	}
	unmount := mount(at, d)
	ctx, stop := context.WithCancel(context.Background())
	var end <-chan time.Time
	after := time.Duration(random.Int64N(int64(6 * time.Second))).Truncate(beat)
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
	if trouble := w.trouble(d, random); !w.isCalm() && random.IntN(6) == 0 {
		timer := time.AfterFunc(after/2, trouble)
		defer timer.Stop()
	}
	serve, err := w.start(ctx, Machine{Seed: w.seed, Folder: at, Listener: l, Dial: w.dialOut(d, l)})
	if err != nil {
		if !d.gone() && !w.troubled() {
			w.fail(other, "the server does not start: %v", err)
		}
		stop()
		unmount()
		l.sever()
		return d.lose(), !w.hasFailed()
	}
	w.trace.add("life %d begins", life)
	d.slow.Store(int64(slow))
	served := make(chan error, 1)
	go func() { served <- serve(ctx) }()
	bury := func() { stop(); <-served; unmount() } //nolint:errcheck // it has no power: what it says is nobody's
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

// trouble is a disk that does not write for a while: it is full, or broken.
func (w *world) trouble(d *Disk, random *rand.Rand) func() {
	ways := [...]error{syscall.ENOSPC, syscall.EIO}
	why, lasts := ways[random.IntN(len(ways))], time.Duration(random.Int64N(int64(3*time.Second)))
	return func() {
		w.sick.Store(true)
		w.trace.add("the disk fails: %v", why)
		d.fail(why)
		time.AfterFunc(lasts, func() {
			w.trace.add("the disk works again")
			d.fail(nil)
		})
	}
}

// shut ends the server in peace, if the power lasts so long.
func (w *world) shut(d *Disk, stop func(), served <-chan error, unmount func(), power <-chan struct{}) Image {
	d.slow.Store(0)
	stop()
	select {
	case err := <-served:
		unmount()
		if err != nil && !d.gone() && !w.troubled() {
			w.fail(other, "the server was told to stop, and said: %v", err)
		}
	case <-power:
		w.zombies.Go(func() {
			<-served //nolint:errcheck // it has no power: what it says is nobody's
			unmount()
		})
	}
	if d.gone() {
		return d.lose()
	}
	return d.image()
}

// dialOut is how a server reaches other hosts, as long as it has power.
func (w *world) dialOut(d *Disk, l *listener) func(context.Context, string, string) (net.Conn, error) {
	return func(_ context.Context, _, address string) (net.Conn, error) {
		to, err := w.lines.dial(address, plain, generator(w.seed, uint64(w.order.Add(1))))
		if err != nil {
			return nil, err
		}
		if !l.hold(to) || d.gone() {
			to.cut()
		}
		return to.client, nil
	}
}
