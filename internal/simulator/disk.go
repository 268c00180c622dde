package simulator

import (
	"bytes"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Image is what a disk holds when nothing is running: its databases by name.
type Image map[string][]byte

// Disk is a machine's disk. What is written is seen at once, and is there for
// good when it is synced: of the rest, a power cut keeps some sectors and loses
// others, in no order. Which files exist is there for good at once.
type Disk struct {
	// static
	cut    func() // called in the middle of the operation at which the power goes
	random *rand.Rand
	lies   bool // says that it has synced, and has not

	reads atomic.Uint64
	// slow is how long syncing takes. It is 0 while the store opens and closes:
	// who waits for a lock of SQLite's then waits by the system's clock, and
	// would hold this one. So would who waits for a mutex of database/sql that a
	// reader holds, whose reading therefore takes no time at all.
	slow atomic.Int64

	mu         sync.Mutex
	files      map[string]*content // guarded by mu
	dead       Image               // guarded by mu: what the power cut left, nil before it
	left       int                 // guarded by mu: operations until the power goes; 0 is never
	trouble    error               // guarded by mu: what writing and syncing comes to
	operations int                 // guarded by mu: so far
}

// content is a file.
type content struct {
	now, safe []byte
	writes    []write // since the last sync
}

// write is one write, or a new length where data is nil.
type write struct {
	at   int64
	data []byte
}

// sector is how much the disk writes at once.
const sector = 512

func newDisk(i Image, random *rand.Rand) *Disk {
	d := &Disk{files: map[string]*content{}, random: random}
	for name, b := range i {
		d.files[name] = &content{now: bytes.Clone(b), safe: bytes.Clone(b)}
	}
	return d
}

func (w write) apply(b []byte) []byte {
	if w.data == nil {
		if int64(len(b)) > w.at {
			return b[:w.at]
		}
		return append(b, make([]byte, w.at-int64(len(b)))...)
	}
	if end := w.at + int64(len(w.data)); end > int64(len(b)) {
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	copy(b[w.at:], w.data)
	return b
}

// begin counts an operation; false where there is no power any more.
func (d *Disk) begin() bool {
	d.mu.Lock()
	d.operations++
	now := d.left == 1 && d.dead == nil
	if d.left > 0 {
		d.left--
	}
	d.mu.Unlock()
	if now {
		d.cut()
	}
	d.mu.Lock()
	if d.dead != nil {
		d.mu.Unlock()
		return false
	}
	return true
}

func (d *Disk) gone() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead != nil
}

func (d *Disk) create(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name] == nil {
		d.files[name] = &content{}
	}
}

func (d *Disk) remove(name string) bool {
	if !d.begin() {
		return false
	}
	defer d.mu.Unlock()
	delete(d.files, name)
	return true
}

func (d *Disk) read(name string, p []byte, at int64) (n int, err error) {
	if d.reads.Add(1)%8 == 0 && d.slow.Load() > 0 { // others have their turn, within the moment: see slow
		for range 100 {
			runtime.Gosched()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead != nil {
		return 0, syscall.EIO
	}
	f := d.file(name)
	if at < int64(len(f.now)) {
		n = copy(p, f.now[at:])
	}
	if n < len(p) {
		clear(p[n:])
		return n, io.EOF
	}
	return n, nil
}

// file is a file that is open; one that was removed since is nobody's else.
func (d *Disk) file(name string) *content {
	f := d.files[name]
	if f == nil {
		f = &content{}
		d.files[name] = f
	}
	return f
}

func (d *Disk) write(name string, p []byte, at int64) (int, error) {
	if !d.begin() {
		return 0, syscall.EIO
	}
	defer d.mu.Unlock()
	if d.trouble != nil {
		return 0, d.trouble
	}
	d.file(name).add(write{at, bytes.Clone(p)})
	return len(p), nil
}

func (d *Disk) truncate(name string, size int64) error {
	if !d.begin() {
		return syscall.EIO
	}
	defer d.mu.Unlock()
	d.file(name).add(write{at: size})
	return nil
}

func (f *content) add(w write) {
	f.now = w.apply(f.now)
	f.writes = append(f.writes, w)
}

func (d *Disk) sync(name string) error {
	time.Sleep(time.Duration(d.slow.Load()))
	if !d.begin() {
		return syscall.EIO
	}
	defer d.mu.Unlock()
	if d.trouble != nil {
		return d.trouble
	}
	f := d.file(name)
	if d.lies {
		return nil
	}
	for _, w := range f.writes {
		f.safe = w.apply(f.safe)
	}
	f.writes = nil
	return nil
}

func (d *Disk) size(name string) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return int64(len(d.file(name).now))
}

// image is what is on the disk, of a machine that was shut down in peace.
func (d *Disk) image() Image {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := Image{}
	for name, f := range d.files {
		i[name] = bytes.Clone(f.now)
	}
	return i
}

// lose ends the disk: from now on every operation fails. It returns what is
// left, the same whenever it is called again.
func (d *Disk) lose() Image {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow.Store(0)
	if d.dead != nil {
		return d.dead
	}
	d.dead = Image{}
	kept := [...]float64{0, 0.5, 0.95, 1}[d.random.IntN(4)] // nothing, some, nearly all, as a killed process leaves it
	for name, f := range d.files {
		b := bytes.Clone(f.safe)
		for _, w := range f.writes {
			b = w.partly(b, kept, d.random)
		}
		d.dead[name] = b
	}
	return d.dead
}

// partly applies that share of a write's sectors.
func (w write) partly(b []byte, kept float64, random *rand.Rand) []byte {
	if w.data == nil {
		if random.Float64() < kept {
			b = w.apply(b)
		}
		return b
	}
	for from := 0; from < len(w.data); {
		to := min(len(w.data), from+sector-int((w.at+int64(from))%sector))
		if random.Float64() < kept {
			b = write{w.at + int64(from), w.data[from:to]}.apply(b)
		}
		from = to
	}
	return b
}

// cutAfter lets the power go at the n-th operation from now; 0 is never.
func (d *Disk) cutAfter(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = n
}

// fail lets writing and syncing fail; nil ends it.
func (d *Disk) fail(with error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trouble = with
}
