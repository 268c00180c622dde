//go:build powercut

package store

import (
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// chunk is how much of a file is kept in one piece.
const chunk = 4096

// unsynced is what a file holds beyond what is on the disk: the pieces written
// since the last sync, and how long the file is. All of its openings share it.
type unsynced struct {
	mu    sync.Mutex
	dirty map[int64]*[chunk]byte // guarded by mu; by number
	size  int64                  // guarded by mu; as SQLite sees it
	valid int64                  // guarded by mu; up to here what is on the disk counts
	// onDisk is a field because its address is handed on as a number, and a
	// local variable may move.
	onDisk int64 // guarded by mu; for flush
	open   int   // guarded by disk.mu on opening and by mu on closing
}

// real reads what is on the disk, zeros where nothing is.
func (u *unsynced) real(tls *libc.TLS, file uintptr, m *sqlite3.Tsqlite3_io_methods, p []byte, at int64) int32 {
	n := min(int64(len(p)), max(u.valid-at, 0))
	clear(p[n:])
	if n == 0 {
		return sqlite3.SQLITE_OK
	}
	rc := function[ioFunc](m.FxRead)(tls, file, uintptr(unsafe.Pointer(&p[0])), int32(n), at)
	if rc == sqlite3.SQLITE_IOERR_SHORT_READ {
		return sqlite3.SQLITE_OK // the rest is zeros
	}
	return rc
}

func (u *unsynced) read(tls *libc.TLS, file uintptr, m *sqlite3.Tsqlite3_io_methods, p []byte, at int64) int32 {
	short := at+int64(len(p)) > u.size
	if short {
		have := max(u.size-at, 0)
		clear(p[have:])
		p = p[:have]
	}
	for len(p) > 0 {
		from := at % chunk
		n := min(int64(len(p)), chunk-from)
		if d := u.dirty[at/chunk]; d != nil {
			copy(p[:n], d[from:])
		} else if rc := u.real(tls, file, m, p[:n], at); rc != sqlite3.SQLITE_OK {
			return rc
		}
		p, at = p[n:], at+n
	}
	if short {
		return sqlite3.SQLITE_IOERR_SHORT_READ
	}
	return sqlite3.SQLITE_OK
}

func (u *unsynced) write(tls *libc.TLS, file uintptr, m *sqlite3.Tsqlite3_io_methods, p []byte, at int64) int32 {
	u.size = max(u.size, at+int64(len(p)))
	for len(p) > 0 {
		from := at % chunk
		d := u.dirty[at/chunk]
		if d == nil {
			d = new([chunk]byte)
			if rc := u.real(tls, file, m, d[:], at-from); rc != sqlite3.SQLITE_OK {
				return rc
			}
			u.dirty[at/chunk] = d
		}
		n := int64(copy(d[from:], p))
		p, at = p[n:], at+n
	}
	return sqlite3.SQLITE_OK
}

func (u *unsynced) truncate(size int64) {
	for n, d := range u.dirty {
		switch start := n * chunk; {
		case start >= size:
			delete(u.dirty, n)
		case start+chunk > size:
			clear(d[size-start:])
		}
	}
	u.size, u.valid = size, min(u.valid, size)
}

// flush writes everything to the file, in no particular order, as a kernel may.
func (u *unsynced) flush(tls *libc.TLS, file uintptr, m *sqlite3.Tsqlite3_io_methods) int32 {
	if rc := function[sizeFunc](m.FxFileSize)(tls, file, uintptr(unsafe.Pointer(&u.onDisk))); rc != sqlite3.SQLITE_OK {
		return rc
	}
	if u.onDisk > u.valid {
		if rc := function[truncateFunc](m.FxTruncate)(tls, file, u.valid); rc != sqlite3.SQLITE_OK {
			return rc
		}
	}
	for n, d := range u.dirty {
		start := n * chunk
		if size := min(chunk, u.size-start); size > 0 {
			if rc := function[ioFunc](m.FxWrite)(tls, file, uintptr(unsafe.Pointer(&d[0])), int32(size), start); rc != sqlite3.SQLITE_OK {
				return rc
			}
		}
	}
	clear(u.dirty)
	u.valid = u.size
	return sqlite3.SQLITE_OK
}
