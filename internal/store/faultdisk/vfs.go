package faultdisk

import (
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// init stands between SQLite and its files: before anything is opened, and
// without an effect on folders that nobody asked about.
func init() { //nolint:gochecknoinits // before the first file is opened
	vfs := (*sqlite3.Tsqlite3_vfs)(pointer(sqlite3.Xsqlite3_vfs_find(libc.NewTLS(), 0)))
	between.open = vfs.FxOpen
	vfs.FxOpen = address(openFile)
}

// SQLite in Go keeps its functions as in C, as addresses: what is unsafe here is
// the way in and out.

func address(f any) uintptr {
	type word [2]uintptr
	return (*word)(unsafe.Pointer(&f))[1] //nolint:gosec // above
}

func function[F any](address uintptr) F {
	return *(*F)(unsafe.Pointer(&struct{ uintptr }{address})) //nolint:gosec // above
}

func pointer(address uintptr) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&address)) //nolint:gosec // above
}

type (
	openFunc     = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	closeFunc    = func(tls *libc.TLS, file uintptr) int32
	ioFunc       = func(tls *libc.TLS, file, buffer uintptr, n int32, at int64) int32
	truncateFunc = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc     = func(tls *libc.TLS, file uintptr, flags int32) int32
	sizeFunc     = func(tls *libc.TLS, file, size uintptr) int32
)

var between struct {
	open uintptr // static; the real one

	mu      sync.Mutex
	handles map[uintptr]*handle                      // guarded by mu; by SQLite's file object
	methods map[uintptr]*sqlite3.Tsqlite3_io_methods // guarded by mu; by the real ones
}

// handle is one opening of a file.
type handle struct {
	disk *Disk                        // static
	name string                       // static
	real *sqlite3.Tsqlite3_io_methods // static

	before []piece // owned by the connection: what was there before it was written over
}

// piece is what a file held, to be put back.
type piece struct {
	at   int64
	data []byte
	size int64 // of the file
}

func handleOf(file uintptr) *handle {
	between.mu.Lock()
	defer between.mu.Unlock()
	return between.handles[file]
}

func openFile(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32 {
	object := (*sqlite3.Tsqlite3_file)(pointer(file))
	var d *Disk
	var path string
	if name != 0 && flags&(sqlite3.SQLITE_OPEN_MAIN_DB|sqlite3.SQLITE_OPEN_MAIN_JOURNAL|sqlite3.SQLITE_OPEN_WAL) != 0 {
		path = libc.GoString(name)
		d = under(path)
	}
	if d != nil {
		if _, bad := d.strike(Open, path); bad {
			object.FpMethods = 0
			return sqlite3.SQLITE_CANTOPEN
		}
	}
	if rc := function[openFunc](between.open)(tls, vfs, name, file, flags, outFlags); rc != sqlite3.SQLITE_OK || d == nil {
		return rc
	}
	h := &handle{disk: d, name: path, real: (*sqlite3.Tsqlite3_io_methods)(pointer(object.FpMethods))}
	between.mu.Lock()
	defer between.mu.Unlock()
	if between.handles == nil {
		between.handles, between.methods = map[uintptr]*handle{}, map[uintptr]*sqlite3.Tsqlite3_io_methods{}
	}
	between.handles[file] = h
	if between.methods[object.FpMethods] == nil {
		m := (*sqlite3.Tsqlite3_io_methods)(pointer(libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*h.real))))) // SQLite's, as all that it points to
		*m = *h.real
		m.FiVersion = min(m.FiVersion, 2) // without mapping the file into memory
		m.FxClose, m.FxRead, m.FxWrite = address(closeFile), address(readFile), address(writeFile)
		m.FxTruncate, m.FxSync = address(truncateFile), address(syncFile)
		between.methods[object.FpMethods] = m
	}
	object.FpMethods = uintptr(unsafe.Pointer(between.methods[object.FpMethods])) //nolint:gosec // above
	return sqlite3.SQLITE_OK
}

func closeFile(tls *libc.TLS, file uintptr) int32 {
	h := handleOf(file)
	between.mu.Lock()
	delete(between.handles, file)
	between.mu.Unlock()
	return function[closeFunc](h.real.FxClose)(tls, file)
}

func readFile(tls *libc.TLS, file, buffer uintptr, n int32, at int64) int32 {
	h := handleOf(file)
	f, bad := h.disk.strike(Read, h.name)
	if bad && f.Error != Garble && !f.Short {
		return sqlite3.SQLITE_IOERR_READ
	}
	rc := function[ioFunc](h.real.FxRead)(tls, file, buffer, n, at)
	if !bad || rc != sqlite3.SQLITE_OK {
		return rc
	}
	p := unsafe.Slice((*byte)(pointer(buffer)), n) //nolint:gosec // above
	if f.Error == Garble {
		for i := range p {
			p[i] ^= 0xa5
		}
		return rc
	}
	clear(p[n/2:])
	return sqlite3.SQLITE_IOERR_SHORT_READ
}

func writeFile(tls *libc.TLS, file, buffer uintptr, n int32, at int64) int32 {
	h := handleOf(file)
	if f, bad := h.disk.strike(Write, h.name); bad {
		if f.Short {
			h.remember(tls, file, n/2, at)
			_ = function[ioFunc](h.real.FxWrite)(tls, file, buffer, n/2, at)
		}
		if f.Error == Full {
			return sqlite3.SQLITE_FULL
		}
		return sqlite3.SQLITE_IOERR_WRITE
	}
	h.remember(tls, file, n, at)
	return function[ioFunc](h.real.FxWrite)(tls, file, buffer, n, at)
}

func truncateFile(tls *libc.TLS, file uintptr, size int64) int32 {
	h := handleOf(file)
	if _, bad := h.disk.strike(Truncate, h.name); bad {
		return sqlite3.SQLITE_IOERR_TRUNCATE
	}
	h.before = nil // what is cut off is not put back
	return function[truncateFunc](h.real.FxTruncate)(tls, file, size)
}

func syncFile(tls *libc.TLS, file uintptr, flags int32) int32 {
	h := handleOf(file)
	f, bad := h.disk.strike(Sync, h.name)
	if bad {
		if f.Lose {
			h.lose(tls, file)
		}
		return sqlite3.SQLITE_IOERR_FSYNC
	}
	h.before = nil
	return function[syncFunc](h.real.FxSync)(tls, file, flags)
}

// scratch calls f with room for n bytes that SQLite may be handed.
func scratch(tls *libc.TLS, n int, f func(address uintptr, bytes []byte)) {
	room := libc.Xmalloc(tls, libc.Tsize_t(n))
	defer libc.Xfree(tls, room)
	f(room, unsafe.Slice((*byte)(pointer(room)), n)) //nolint:gosec // above
}

// remember keeps what stands where something will be written, where a fault
// may take it back.
func (h *handle) remember(tls *libc.TLS, file uintptr, n int32, at int64) {
	if n == 0 || !h.disk.loses() {
		return
	}
	old := piece{at: at}
	scratch(tls, int(unsafe.Sizeof(old.size)), func(room uintptr, _ []byte) {
		_ = function[sizeFunc](h.real.FxFileSize)(tls, file, room)
		old.size = *(*int64)(pointer(room))
	})
	if have := min(int64(n), old.size-at); have > 0 {
		scratch(tls, int(have), func(room uintptr, bytes []byte) {
			_ = function[ioFunc](h.real.FxRead)(tls, file, room, int32(have), at)
			old.data = append(old.data, bytes...)
		})
	}
	h.before = append(h.before, old)
}

// lose puts everything back as it was at the last sync.
func (h *handle) lose(tls *libc.TLS, file uintptr) {
	for i := len(h.before) - 1; i >= 0; i-- {
		old := h.before[i]
		if len(old.data) > 0 {
			scratch(tls, len(old.data), func(room uintptr, bytes []byte) {
				copy(bytes, old.data)
				_ = function[ioFunc](h.real.FxWrite)(tls, file, room, int32(len(bytes)), old.at)
			})
		}
		_ = function[truncateFunc](h.real.FxTruncate)(tls, file, old.size)
	}
	h.before = nil
}
