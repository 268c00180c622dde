package checker

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Clock makes a server whose clock can be stepped, as an operator or a time
// server steps one: what time.Now says of the day jumps, and no timer does.
// The machine's own clock is left alone: the server adds the seconds that stand
// in a file.
var Clock = []Edit{
	{File: "$GOROOT/src/time/time.go", Old: "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n", New: "func Now() Time {\n\tsec, nsec, mono := steppedNow()\n"},
	{File: "$GOROOT/src/time/stepped.go", New: `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var steps = func() *int64 {
	name, _ := syscall.Getenv("` + clockFile + `")
	fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return new(int64)
	}
	b, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("the clock's file cannot be read: " + err.Error())
	}
	return (*int64)(unsafe.Pointer(&b[0]))
}()

func steppedNow() (sec int64, nsec int32, mono int64) {
	sec, nsec, mono = runtimeNow()
	return sec + atomic.LoadInt64(steps), nsec, mono
}
`},
}

// clockFile is the variable that names the file to such a server.
const clockFile = "CHECKER_CLOCK"

// clock is what a server's clock says.
type clock struct {
	path string // static

	mu    sync.Mutex
	steps []time.Duration // guarded by mu; against ours, the newest last
}

// newClock makes the file. The clock goes right.
func newClock(folder string) (*clock, error) {
	c := &clock{path: filepath.Join(folder, "clock"), steps: []time.Duration{0}}
	return c, os.WriteFile(c.path, make([]byte, 8), 0o600)
}

// step sets the clock by so much forward or back.
func (c *clock) step(d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := c.steps[len(c.steps)-1] + d
	f, err := os.OpenFile(c.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], uint64(int64(next/time.Second)))
	if _, err := f.WriteAt(b[:], 0); err != nil {
		_ = f.Close()
		return err
	}
	c.steps = append(c.steps, next)
	return f.Close()
}

// off is by how much the clock goes wrong.
func (c *clock) off() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.steps[len(c.steps)-1]
}

// said tells whether the clock may have said that it is t, lately.
func (c *clock) said(t time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.steps {
		if time.Since(t.Add(-d)).Abs() <= time.Minute {
			return true
		}
	}
	return false
}
