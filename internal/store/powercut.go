//go:build powercut

package store

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"modernc.org/sqlite"

	"github.com/kabar-io/kabar/internal/store/vfs"
)

// A binary that is built with the tag powercut loses, when it is killed, what
// was not synced to the disk: as a power cut does, and kill -9 does not, since
// the kernel keeps what the process wrote. Databases and their logs are kept in
// memory from the last sync on; a sync writes that to the file and syncs it. A
// file that is closed in peace is written too, without a sync: the kernel would
// have had the time. Which files exist is on the disk at once.
//
// POWERCUT_SYNCHRONOUS is SQLite's setting synchronous for such a binary, FULL
// where it is empty. It stands beside the configuration because no server for
// use may have it.
func init() {
	setting := os.Getenv("POWERCUT_SYNCHRONOUS")
	if setting == "" {
		setting = "FULL"
	}
	sqlite.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, _ string) error {
		_, err := conn.ExecContext(context.Background(), "PRAGMA synchronous = "+setting, nil)
		return err
	})
	vfs.Insert(&forgetful{files: map[string]*unsynced{}})
	fmt.Fprintf(os.Stderr, "powercut: what is not synced is lost when this process is killed; synchronous is %s\n", setting)
}

// forgetful is a disk that keeps in memory what was not synced.
type forgetful struct {
	mu    sync.Mutex
	files map[string]*unsynced // guarded by mu; by path
}

func (d *forgetful) Open(path string, below func() (vfs.File, error)) (vfs.File, error) {
	f, err := below()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	u := d.files[path]
	if u == nil {
		u = &unsynced{dirty: map[int64]*[chunk]byte{}}
		if u.size, err = f.Size(); err != nil {
			return nil, err
		}
		u.valid = u.size
		d.files[path] = u
	}
	u.open++
	return &handle{f, u, d, path}, nil
}

func (d *forgetful) Remove(path string, below func() error) error {
	d.mu.Lock()
	delete(d.files, path)
	d.mu.Unlock()
	return below()
}

// handle is one opening of a file.
type handle struct {
	below vfs.File
	*unsynced
	disk *forgetful
	path string
}

// chunk is how much of a file is kept in one piece.
const chunk = 4096

// unsynced is what a file holds beyond what is on the disk: the pieces written
// since the last sync, and how long the file is. All of its openings share it.
type unsynced struct {
	open int // guarded by the disk's mu: how many openings there are

	mu    sync.Mutex
	dirty map[int64]*[chunk]byte // guarded by mu; by number
	size  int64                  // guarded by mu; as SQLite sees it
	valid int64                  // guarded by mu; up to here what is on the disk counts
}

func (h *handle) Close() error {
	h.disk.mu.Lock()
	if h.open--; h.open == 0 {
		h.mu.Lock()
		_ = h.flush() // nobody is there to hear of it
		h.mu.Unlock()
		if h.disk.files[h.path] == h.unsynced {
			delete(h.disk.files, h.path)
		}
	}
	h.disk.mu.Unlock()
	return h.below.Close()
}

// real reads what is on the disk, zeros where nothing is. The lock is held.
func (h *handle) real(p []byte, at int64) error {
	n := min(int64(len(p)), max(h.valid-at, 0))
	clear(p[n:])
	if n == 0 {
		return nil
	}
	if _, err := h.below.ReadAt(p[:n], at); err != io.EOF {
		return err
	}
	return nil // the rest is zeros
}

func (h *handle) ReadAt(p []byte, at int64) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at+int64(len(p)) > h.size {
		have := max(h.size-at, 0)
		clear(p[have:])
		p, err = p[:have], io.EOF
	}
	for n < len(p) {
		from := at % chunk
		part := p[n:min(len(p), n+chunk-int(from))]
		if d := h.dirty[at/chunk]; d != nil {
			copy(part, d[from:])
		} else if err := h.real(part, at); err != nil {
			return n, err
		}
		n, at = n+len(part), at+int64(len(part))
	}
	return n, err
}

func (h *handle) WriteAt(p []byte, at int64) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.size = max(h.size, at+int64(len(p)))
	for n < len(p) {
		from := at % chunk
		d := h.dirty[at/chunk]
		if d == nil {
			d = new([chunk]byte)
			if err := h.real(d[:], at-from); err != nil {
				return n, err
			}
			h.dirty[at/chunk] = d
		}
		done := copy(d[from:], p[n:])
		n, at = n+done, at+int64(done)
	}
	return n, nil
}

func (h *handle) Truncate(size int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for n, d := range h.dirty {
		switch start := n * chunk; {
		case start >= size:
			delete(h.dirty, n)
		case start+chunk > size:
			clear(d[size-start:])
		}
	}
	h.size, h.valid = size, min(h.valid, size)
	return nil
}

func (h *handle) Size() (int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.size, nil
}

func (h *handle) Sync() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.flush(); err != nil {
		return err
	}
	return h.below.Sync()
}

// flush writes everything to the file, in no particular order, as a kernel may.
// The lock is held.
func (h *handle) flush() error {
	onDisk, err := h.below.Size()
	if err != nil {
		return err
	}
	if onDisk > h.valid {
		if err := h.below.Truncate(h.valid); err != nil {
			return err
		}
	}
	for n, d := range h.dirty {
		start := n * chunk
		if size := min(chunk, h.size-start); size > 0 {
			if _, err := h.below.WriteAt(d[:size], start); err != nil {
				return err
			}
		}
	}
	clear(h.dirty)
	h.valid = h.size
	return nil
}
