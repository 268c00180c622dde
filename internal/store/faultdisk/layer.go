package faultdisk

import (
	"io"
	"syscall"

	"github.com/kabar-io/kabar/internal/store/vfs"
)

// init stands between SQLite and its files: before anything is opened, and
// without an effect on folders that nobody asked about.
func init() { vfs.Insert(layer{}) } //nolint:gochecknoinits // before the first file is opened

type layer struct{}

func (layer) Open(path string, below func() (vfs.File, error)) (vfs.File, error) {
	d := under(path)
	if d == nil {
		return below()
	}
	if _, bad := d.strike(Open, path); bad {
		return nil, syscall.EIO
	}
	f, err := below()
	if err != nil {
		return nil, err
	}
	return &file{File: f, disk: d, path: path}, nil
}

func (layer) Remove(_ string, below func() error) error { return below() }

// file is one opening of a file.
type file struct {
	vfs.File
	disk *Disk  // static
	path string // static

	before []piece // owned by the connection: what was there before it was written over
}

// piece is what a file held, to be put back.
type piece struct {
	at   int64
	data []byte
	size int64 // of the file
}

func (f *file) ReadAt(p []byte, at int64) (int, error) {
	met, bad := f.disk.strike(Read, f.path)
	if bad && met.Error != Garble && !met.Short {
		return 0, syscall.EIO
	}
	n, err := f.File.ReadAt(p, at)
	switch {
	case !bad || err != nil:
		return n, err
	case met.Error == Garble:
		for i := range p {
			p[i] ^= 0xa5
		}
		return n, nil
	}
	return n / 2, io.EOF
}

func (f *file) WriteAt(p []byte, at int64) (int, error) {
	met, bad := f.disk.strike(Write, f.path)
	if !bad {
		f.remember(len(p), at)
		return f.File.WriteAt(p, at)
	}
	n := 0
	if met.Short {
		f.remember(len(p)/2, at)
		n, _ = f.File.WriteAt(p[:len(p)/2], at)
	}
	if met.Error == Full {
		return n, syscall.ENOSPC
	}
	return n, syscall.EIO
}

func (f *file) Truncate(size int64) error {
	if _, bad := f.disk.strike(Truncate, f.path); bad {
		return syscall.EIO
	}
	f.before = nil // what is cut off is not put back
	return f.File.Truncate(size)
}

func (f *file) Sync() error {
	met, bad := f.disk.strike(Sync, f.path)
	if bad {
		if met.Lose {
			f.lose()
		}
		return syscall.EIO
	}
	f.before = nil
	return f.File.Sync()
}

// remember keeps what stands where something will be written, where a fault
// may take it back.
func (f *file) remember(n int, at int64) {
	if n == 0 || !f.disk.loses() {
		return
	}
	old := piece{at: at}
	old.size, _ = f.File.Size()
	if have := min(int64(n), old.size-at); have > 0 {
		old.data = make([]byte, have)
		_, _ = f.File.ReadAt(old.data, at)
	}
	f.before = append(f.before, old)
}

// lose puts everything back as it was at the last sync.
func (f *file) lose() {
	for i := len(f.before) - 1; i >= 0; i-- {
		old := f.before[i]
		if len(old.data) > 0 {
			_, _ = f.File.WriteAt(old.data, old.at)
		}
		_ = f.File.Truncate(old.size)
	}
	f.before = nil
}
