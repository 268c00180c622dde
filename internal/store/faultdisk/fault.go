package faultdisk

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Op is a set of what SQLite does with a file.
type Op uint8

// What can fail.
const (
	Write Op = 1 << iota
	Sync
	Read
	Truncate
	Open
)

// Changing is everything that changes a file.
const Changing = Write | Sync | Truncate

// Error is how it fails.
type Error uint8

// The ways to fail.
const (
	IO     Error = iota // the device reports an error, or is read-only by now
	Full                // no space is left
	Garble              // reading only: it goes well, and the bytes are others
)

var (
	ops    = []string{"write", "sync", "read", "truncate", "open"}
	errors = []string{"io", "full", "garble"}
)

// Fault is one thing that is wrong with a disk.
type Fault struct {
	Ops   Op
	Error Error
	File  string // only files whose name ends like this, such as "-wal" or ".db"; "": all
	After int    // so many calls go well before
	Times int    // so many fail, and then it is over; 0: until Heal
	Short bool   // a write that fails leaves its first half behind; a read that fails is a short one
	Lose  bool   // a sync that fails takes back what was written since the last one: a kernel may have dropped it
}

// String writes a fault as the file that FAULTDISK names has it, such as
// "write,sync full file=-wal after=3 times=1 short lose".
func (f Fault) String() string {
	var names []string
	for i, name := range ops {
		if f.Ops&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	s := strings.Join(names, ",") + " " + errors[f.Error]
	if f.File != "" {
		s += " file=" + f.File
	}
	if f.After != 0 {
		s += fmt.Sprintf(" after=%d", f.After)
	}
	if f.Times != 0 {
		s += fmt.Sprintf(" times=%d", f.Times)
	}
	if f.Short {
		s += " short"
	}
	if f.Lose {
		s += " lose"
	}
	return s
}

// Parse reads what String writes.
func Parse(line string) (f Fault, err error) {
	words := strings.Fields(line)
	if len(words) < 2 {
		return f, fmt.Errorf("%q is no fault: it is written like %q", line, "write,sync full file=-wal after=3 times=1 short lose")
	}
	for op := range strings.SplitSeq(words[0], ",") {
		i := slices.Index(ops, op)
		if i < 0 {
			return f, fmt.Errorf("%q: there is no %q; there are %v", line, op, ops)
		}
		f.Ops |= 1 << i
	}
	i := slices.Index(errors, words[1])
	if i < 0 {
		return f, fmt.Errorf("%q: there is no error %q; there are %v", line, words[1], errors)
	}
	f.Error = Error(i)
	for _, word := range words[2:] {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "file":
			f.File = value
		case "after":
			f.After, err = strconv.Atoi(value)
		case "times":
			f.Times, err = strconv.Atoi(value)
		case "short":
			f.Short = true
		case "lose":
			f.Lose = true
		default:
			err = fmt.Errorf("%q: there is no %q", line, name)
		}
		if err != nil {
			return f, err
		}
	}
	return f, nil
}

// Disk is what the databases of one folder stand on. All methods may be called
// at any time, from anywhere.
type Disk struct {
	mu     sync.Mutex
	faults []Fault // guarded by mu
	struck int     // guarded by mu
}

var (
	disksMu sync.Mutex
	disks   = map[string]*Disk{} // guarded by disksMu; by folder, "" for every other one
)

// Under is the disk of a folder, which works until it is told to fail. It knows
// the files that are opened from now on.
func Under(folder string) *Disk {
	if folder != "" {
		folder, _ = filepath.Abs(folder)
	}
	disksMu.Lock()
	defer disksMu.Unlock()
	d := disks[folder]
	if d == nil {
		d = &Disk{}
		disks[folder] = d
	}
	return d
}

func under(file string) *Disk {
	disksMu.Lock()
	defer disksMu.Unlock()
	if d := disks[filepath.Dir(file)]; d != nil {
		return d
	}
	return disks[""]
}

// Fail puts these faults in the place of those that were.
func (d *Disk) Fail(faults ...Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = slices.Clone(faults)
}

// Heal ends all faults.
func (d *Disk) Heal() { d.Fail() }

// Struck is how many calls failed so far.
func (d *Disk) Struck() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.struck
}

// strike is asked for every call: which fault it meets, ok false for none.
func (d *Disk) strike(op Op, file string) (f Fault, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.faults {
		f := &d.faults[i]
		if f.Ops&op == 0 || !strings.HasSuffix(file, f.File) {
			continue
		}
		if f.After > 0 {
			f.After--
			continue
		}
		met := *f
		if f.Times--; f.Times == 0 {
			d.faults = slices.Delete(d.faults, i, i+1)
		}
		d.struck++
		return met, true
	}
	return Fault{}, false
}

// loses says whether some fault takes back what was written.
func (d *Disk) loses() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.faults, func(f Fault) bool { return f.Lose })
}

// Follow does what the file at path says, until the process ends.
func (d *Disk) Follow(path string) {
	for last := ""; ; time.Sleep(10 * time.Millisecond) {
		text, _ := os.ReadFile(path) //nolint:gosec // the test's own file; a missing one is a disk that works
		if string(text) == last {
			continue
		}
		last = string(text)
		var faults []Fault
		for line := range strings.Lines(last) {
			if strings.TrimSpace(line) == "" {
				continue
			}
			f, err := Parse(line)
			if err != nil {
				panic("faultdisk: " + err.Error())
			}
			faults = append(faults, f)
		}
		d.Fail(faults...)
	}
}

// pageSize is SQLite's, as the store leaves it.
const pageSize = 4096

// Damage writes over a page (1, 2, …) of a database file. What a process has
// of it in memory stays as it was.
func Damage(file string, page int) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0) //nolint:gosec // the test's own file
	if err != nil {
		return err
	}
	bad := make([]byte, pageSize)
	for i := range bad {
		bad[i] = 0xa5
	}
	if _, err = f.WriteAt(bad, int64(page-1)*pageSize); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
