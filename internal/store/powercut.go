//go:build powercut

package store

import (
	"context"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"modernc.org/libc"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
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
	vfs := (*sqlite3.Tsqlite3_vfs)(pointer(sqlite3.Xsqlite3_vfs_find(libc.NewTLS(), 0)))
	disk.open, disk.remove = vfs.FxOpen, vfs.FxDelete
	vfs.FxOpen = address(powercutOpen)
	vfs.FxDelete = address(powercutDelete)
	fmt.Fprintf(os.Stderr, "powercut: what is not synced is lost when this process is killed; synchronous is %s\n", setting)
}

// SQLite in Go keeps its functions as in C: as addresses.

func address(f any) uintptr {
	type word [2]uintptr
	return (*word)(unsafe.Pointer(&f))[1]
}

func function[F any](address uintptr) F {
	return *(*F)(unsafe.Pointer(&struct{ uintptr }{address}))
}

func pointer(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }

type (
	openFunc     = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	deleteFunc   = func(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32
	closeFunc    = func(tls *libc.TLS, file uintptr) int32
	ioFunc       = func(tls *libc.TLS, file, buffer uintptr, n int32, at int64) int32
	truncateFunc = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc     = func(tls *libc.TLS, file uintptr, flags int32) int32
	sizeFunc     = func(tls *libc.TLS, file, size uintptr) int32
	controlFunc  = func(tls *libc.TLS, file uintptr, op int32, arg uintptr) int32
)

// disk is what stands between SQLite and its files.
var disk struct {
	open, remove uintptr // static; the real ones

	mu      sync.Mutex
	files   map[string]*unsynced                     // guarded by mu; by name
	handles map[uintptr]*handle                      // guarded by mu; by SQLite's file object
	methods map[uintptr]*sqlite3.Tsqlite3_io_methods // guarded by mu; by the real ones
}

// handle is one opening of a file.
type handle struct {
	file *unsynced
	name string
	real *sqlite3.Tsqlite3_io_methods
}

func handleOf(file uintptr) *handle {
	disk.mu.Lock()
	defer disk.mu.Unlock()
	return disk.handles[file]
}

func powercutOpen(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32 {
	if rc := function[openFunc](disk.open)(tls, vfs, name, file, flags, outFlags); rc != sqlite3.SQLITE_OK {
		return rc
	}
	if name == 0 || flags&(sqlite3.SQLITE_OPEN_MAIN_DB|sqlite3.SQLITE_OPEN_MAIN_JOURNAL|sqlite3.SQLITE_OPEN_WAL) == 0 {
		return sqlite3.SQLITE_OK
	}
	object := (*sqlite3.Tsqlite3_file)(pointer(file))
	h := &handle{name: libc.GoString(name), real: (*sqlite3.Tsqlite3_io_methods)(pointer(object.FpMethods))}
	disk.mu.Lock()
	defer disk.mu.Unlock()
	if disk.files == nil {
		disk.files, disk.handles = map[string]*unsynced{}, map[uintptr]*handle{}
		disk.methods = map[uintptr]*sqlite3.Tsqlite3_io_methods{}
	}
	if h.file = disk.files[h.name]; h.file == nil {
		h.file = &unsynced{dirty: map[int64]*[chunk]byte{}}
		if rc := function[sizeFunc](h.real.FxFileSize)(tls, file, uintptr(unsafe.Pointer(&h.file.size))); rc != sqlite3.SQLITE_OK {
			return rc
		}
		h.file.valid = h.file.size
		disk.files[h.name] = h.file
	}
	h.file.open++
	disk.handles[file] = h
	if disk.methods[object.FpMethods] == nil {
		m := *h.real
		m.FiVersion = 2 // without mapping the file into memory
		m.FxClose, m.FxRead, m.FxWrite = address(powercutClose), address(powercutRead), address(powercutWrite)
		m.FxTruncate, m.FxSync, m.FxFileSize = address(powercutTruncate), address(powercutSync), address(powercutSize)
		m.FxFileControl = address(powercutControl)
		disk.methods[object.FpMethods] = &m
	}
	object.FpMethods = uintptr(unsafe.Pointer(disk.methods[object.FpMethods]))
	return sqlite3.SQLITE_OK
}

func powercutDelete(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32 {
	disk.mu.Lock()
	delete(disk.files, libc.GoString(name))
	disk.mu.Unlock()
	return function[deleteFunc](disk.remove)(tls, vfs, name, syncDir)
}

func powercutClose(tls *libc.TLS, file uintptr) int32 {
	h := handleOf(file)
	h.file.mu.Lock()
	h.file.open--
	last := h.file.open == 0
	if last {
		_ = h.file.flush(tls, file, h.real) // nobody is there to hear of it
	}
	h.file.mu.Unlock()
	disk.mu.Lock()
	delete(disk.handles, file)
	if last && disk.files[h.name] == h.file {
		delete(disk.files, h.name)
	}
	disk.mu.Unlock()
	return function[closeFunc](h.real.FxClose)(tls, file)
}

func powercutRead(tls *libc.TLS, file, buffer uintptr, n int32, at int64) int32 {
	h := handleOf(file)
	h.file.mu.Lock()
	defer h.file.mu.Unlock()
	return h.file.read(tls, file, h.real, unsafe.Slice((*byte)(pointer(buffer)), n), at)
}

func powercutWrite(tls *libc.TLS, file, buffer uintptr, n int32, at int64) int32 {
	h := handleOf(file)
	h.file.mu.Lock()
	defer h.file.mu.Unlock()
	return h.file.write(tls, file, h.real, unsafe.Slice((*byte)(pointer(buffer)), n), at)
}

func powercutTruncate(_ *libc.TLS, file uintptr, size int64) int32 {
	h := handleOf(file)
	h.file.mu.Lock()
	defer h.file.mu.Unlock()
	h.file.truncate(size)
	return sqlite3.SQLITE_OK
}

func powercutSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	h := handleOf(file)
	h.file.mu.Lock()
	defer h.file.mu.Unlock()
	if rc := h.file.flush(tls, file, h.real); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return function[syncFunc](h.real.FxSync)(tls, file, flags)
}

func powercutSize(_ *libc.TLS, file, size uintptr) int32 {
	h := handleOf(file)
	h.file.mu.Lock()
	defer h.file.mu.Unlock()
	*(*int64)(pointer(size)) = h.file.size
	return sqlite3.SQLITE_OK
}

func powercutControl(tls *libc.TLS, file uintptr, op int32, arg uintptr) int32 {
	if op == sqlite3.SQLITE_FCNTL_SIZE_HINT { // it would make the file longer on the disk
		return sqlite3.SQLITE_OK
	}
	return function[controlFunc](handleOf(file).real.FxFileControl)(tls, file, op, arg)
}
