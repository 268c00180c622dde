package vfs

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// between is what stands in the place of SQLite's own functions.
var between struct {
	once         sync.Once
	open, remove uintptr // static from then on; SQLite's own

	mu      sync.RWMutex
	layers  []Layer                                  // guarded by mu; replaced, never changed
	files   map[uintptr]*open                        // guarded by mu; by SQLite's file object
	methods map[uintptr]*sqlite3.Tsqlite3_io_methods // guarded by mu; by SQLite's own
}

// Insert puts a layer above those that are there already. It knows the files
// that are opened from now on.
func Insert(l Layer) {
	between.once.Do(func() {
		between.files, between.methods = map[uintptr]*open{}, map[uintptr]*sqlite3.Tsqlite3_io_methods{}
		tls := libc.NewTLS()
		defer tls.Close()
		v := (*sqlite3.Tsqlite3_vfs)(pointer(sqlite3.Xsqlite3_vfs_find(tls, 0)))
		between.open, between.remove = v.FxOpen, v.FxDelete
		v.FxOpen, v.FxDelete = address(openFile), address(removeFile)
		v.FxSleep = address(sleep)
	})
	between.mu.Lock()
	defer between.mu.Unlock()
	between.layers = append(slices.Clone(between.layers), l)
}

func layers() []Layer {
	between.mu.RLock()
	defer between.mu.RUnlock()
	return between.layers
}

// SQLite in Go keeps its functions as in C, as addresses: what is unsafe here is
// the way in and out.

func address(f any) uintptr {
	type word [2]uintptr
	return (*word)(unsafe.Pointer(&f))[1] //nolint:gosec // as the driver does it
}

func function[F any](address uintptr) F {
	return *(*F)(unsafe.Pointer(&struct{ uintptr }{address})) //nolint:gosec // the same
}

func pointer(address uintptr) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&address)) //nolint:gosec // the same
}

func bytesAt(address uintptr, n int) []byte {
	return unsafe.Slice((*byte)(pointer(address)), n) //nolint:gosec // memory of SQLite's
}

type (
	openFunc     = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	removeFunc   = func(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32
	closeFunc    = func(tls *libc.TLS, file uintptr) int32
	ioFunc       = func(tls *libc.TLS, file, buffer uintptr, n int32, at int64) int32
	truncateFunc = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc     = func(tls *libc.TLS, file uintptr, flags int32) int32
	sizeFunc     = func(tls *libc.TLS, file, size uintptr) int32
	controlFunc  = func(tls *libc.TLS, file uintptr, op int32, arg uintptr) int32
)

// code is an error of SQLite's own functions. It goes back to SQLite as it came.
type code int32

func (c code) Error() string { return fmt.Sprintf("SQLite's own file says %d", int32(c)) }

func ownError(rc int32) error {
	if rc == sqlite3.SQLITE_OK {
		return nil
	}
	return code(rc)
}

// toSQLite is what SQLite calls an error, other where it is none of its own.
func toSQLite(err error, other int32) int32 {
	var own code
	switch {
	case err == nil:
		return sqlite3.SQLITE_OK
	case errors.As(err, &own):
		return int32(own)
	}
	return other
}

// open is one opening of a file: the layers', and SQLite's own below them.
type open struct {
	File
	own *ownFile
}

// ownFile is the File that SQLite would use itself.
type ownFile struct {
	file uintptr                      // static; SQLite's file object
	real *sqlite3.Tsqlite3_io_methods // static
	// tls is the one of the call under way, and flags those of a sync; owned by
	// the connection.
	tls   *libc.TLS
	flags int32
}

// lent calls f with room for n bytes that SQLite may be handed: memory of Go's
// could move.
func (o *ownFile) lent(n int, f func(address uintptr, room []byte) int32) error {
	room := libc.Xmalloc(o.tls, libc.Tsize_t(max(n, 1)))
	defer libc.Xfree(o.tls, room)
	return ownError(f(room, bytesAt(room, n)))
}

func (o *ownFile) ReadAt(p []byte, at int64) (int, error) {
	err := o.lent(len(p), func(address uintptr, room []byte) int32 {
		rc := function[ioFunc](o.real.FxRead)(o.tls, o.file, address, int32(len(p)), at)
		copy(p, room)
		return rc
	})
	switch {
	case err == nil:
		return len(p), nil
	case errors.Is(err, code(sqlite3.SQLITE_IOERR_SHORT_READ)):
		return len(p), io.EOF // it has made zeros of the rest
	}
	return 0, err
}

func (o *ownFile) WriteAt(p []byte, at int64) (int, error) {
	err := o.lent(len(p), func(address uintptr, room []byte) int32 {
		copy(room, p)
		return function[ioFunc](o.real.FxWrite)(o.tls, o.file, address, int32(len(p)), at)
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (o *ownFile) Truncate(size int64) error {
	return ownError(function[truncateFunc](o.real.FxTruncate)(o.tls, o.file, size))
}

func (o *ownFile) Sync() error {
	return ownError(function[syncFunc](o.real.FxSync)(o.tls, o.file, o.flags))
}

func (o *ownFile) Size() (size int64, err error) {
	err = o.lent(int(unsafe.Sizeof(size)), func(address uintptr, _ []byte) int32 {
		rc := function[sizeFunc](o.real.FxFileSize)(o.tls, o.file, address)
		size = *(*int64)(pointer(address))
		return rc
	})
	return size, err
}

func (o *ownFile) Close() error {
	return ownError(function[closeFunc](o.real.FxClose)(o.tls, o.file))
}

// kinds are the files that layers are asked about; the others are SQLite's
// scratch.
const kinds = sqlite3.SQLITE_OPEN_MAIN_DB | sqlite3.SQLITE_OPEN_MAIN_JOURNAL | sqlite3.SQLITE_OPEN_WAL

func openFile(tls *libc.TLS, v, name, file uintptr, flags int32, outFlags uintptr) int32 {
	object := (*sqlite3.Tsqlite3_file)(pointer(file))
	var own *ownFile
	below := func() (File, error) {
		if rc := function[openFunc](between.open)(tls, v, name, file, flags, outFlags); rc != sqlite3.SQLITE_OK {
			return nil, code(rc)
		}
		own = &ownFile{file: file, real: (*sqlite3.Tsqlite3_io_methods)(pointer(object.FpMethods)), tls: tls}
		return own, nil
	}
	if name != 0 && flags&kinds != 0 {
		path := libc.GoString(name)
		for _, l := range layers() {
			next := below
			below = func() (File, error) { return l.Open(path, next) }
		}
	}
	f, err := below()
	switch {
	case err != nil && own != nil: // a layer refused what was open by then
		_ = own.Close()
		fallthrough
	case err != nil:
		object.FpMethods = 0 // or SQLite would close it
		return toSQLite(err, sqlite3.SQLITE_CANTOPEN)
	case f == File(own):
		return sqlite3.SQLITE_OK
	}
	between.mu.Lock()
	defer between.mu.Unlock()
	between.files[file] = &open{f, own}
	object.FpMethods = uintptr(unsafe.Pointer(methods(tls, object.FpMethods))) //nolint:gosec // it is kept, and no memory of Go's
	return sqlite3.SQLITE_OK
}

// methods are SQLite's own with ours among them. The lock is held.
func methods(tls *libc.TLS, own uintptr) *sqlite3.Tsqlite3_io_methods {
	m := between.methods[own]
	if m == nil {
		m = (*sqlite3.Tsqlite3_io_methods)(pointer(libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*m)))))
		*m = *(*sqlite3.Tsqlite3_io_methods)(pointer(own))
		m.FiVersion = min(m.FiVersion, 2) // without mapping the file into memory
		m.FxClose, m.FxRead, m.FxWrite = address(closeFile), address(readFile), address(writeFile)
		m.FxTruncate, m.FxSync, m.FxFileSize = address(truncateFile), address(syncFile), address(sizeOfFile)
		m.FxFileControl = address(controlFile)
		between.methods[own] = m
	}
	return m
}

// sleep waits for a lock by Go's clock: one that is simulated goes on then.
func sleep(_ *libc.TLS, _ uintptr, micro int32) int32 {
	time.Sleep(time.Duration(micro) * time.Microsecond)
	return micro
}

func removeFile(tls *libc.TLS, v, name uintptr, syncDir int32) int32 {
	below := func() error { return ownError(function[removeFunc](between.remove)(tls, v, name, syncDir)) }
	path := libc.GoString(name)
	for _, l := range layers() {
		next := below
		below = func() error { return l.Remove(path, next) }
	}
	return toSQLite(below(), sqlite3.SQLITE_IOERR_DELETE)
}

// opened is the file of a call that begins.
func opened(tls *libc.TLS, file uintptr) *open {
	between.mu.RLock()
	defer between.mu.RUnlock()
	o := between.files[file]
	o.own.tls = tls
	return o
}

func closeFile(tls *libc.TLS, file uintptr) int32 {
	o := opened(tls, file)
	between.mu.Lock()
	delete(between.files, file)
	between.mu.Unlock()
	return toSQLite(o.Close(), sqlite3.SQLITE_IOERR_CLOSE)
}

func readFile(tls *libc.TLS, file, buffer uintptr, size int32, at int64) int32 {
	p := bytesAt(buffer, int(size))
	n, err := opened(tls, file).ReadAt(p, at)
	if errors.Is(err, io.EOF) {
		clear(p[n:])
		return sqlite3.SQLITE_IOERR_SHORT_READ
	}
	return toSQLite(err, sqlite3.SQLITE_IOERR_READ)
}

func writeFile(tls *libc.TLS, file, buffer uintptr, size int32, at int64) int32 {
	_, err := opened(tls, file).WriteAt(bytesAt(buffer, int(size)), at)
	if errors.Is(err, syscall.ENOSPC) {
		return sqlite3.SQLITE_FULL
	}
	return toSQLite(err, sqlite3.SQLITE_IOERR_WRITE)
}

func truncateFile(tls *libc.TLS, file uintptr, size int64) int32 {
	return toSQLite(opened(tls, file).Truncate(size), sqlite3.SQLITE_IOERR_TRUNCATE)
}

func syncFile(tls *libc.TLS, file uintptr, flags int32) int32 {
	o := opened(tls, file)
	o.own.flags = flags
	return toSQLite(o.Sync(), sqlite3.SQLITE_IOERR_FSYNC)
}

func sizeOfFile(tls *libc.TLS, file, size uintptr) int32 {
	n, err := opened(tls, file).Size()
	*(*int64)(pointer(size)) = n
	return toSQLite(err, sqlite3.SQLITE_IOERR_FSTAT)
}

func controlFile(tls *libc.TLS, file uintptr, op int32, arg uintptr) int32 {
	if op == sqlite3.SQLITE_FCNTL_SIZE_HINT { // it would make the file longer on the disk
		return sqlite3.SQLITE_OK
	}
	return function[controlFunc](opened(tls, file).own.real.FxFileControl)(tls, file, op, arg)
}
