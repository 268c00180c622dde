package simulator

import (
	"os"
	"path/filepath"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// What stands between SQLite and its files: those of a folder that a Disk has
// are in its memory. The files themselves are there and empty, for their locks
// and for what connections share. Other folders are the system's, as ever.
var vfs struct {
	once         sync.Once
	open, remove uintptr // static from then on; the real ones

	mu      sync.RWMutex
	disks   map[string]*Disk                         // guarded by mu; by folder
	handles map[uintptr]*handle                      // guarded by mu; by SQLite's file object
	methods map[uintptr]*sqlite3.Tsqlite3_io_methods // guarded by mu; by the real ones
}

// handle is one opening of a file.
type handle struct {
	disk *Disk
	name string
	real *sqlite3.Tsqlite3_io_methods
}

// mount puts a disk where folder is, until the function that it returns is
// called. No file of it may be open by then.
func mount(folder string, d *Disk) (unmount func()) {
	vfs.once.Do(func() {
		vfs.disks, vfs.handles = map[string]*Disk{}, map[uintptr]*handle{}
		vfs.methods = map[uintptr]*sqlite3.Tsqlite3_io_methods{}
		v := (*sqlite3.Tsqlite3_vfs)(pointer(sqlite3.Xsqlite3_vfs_find(libc.NewTLS(), 0)))
		vfs.open, vfs.remove = v.FxOpen, v.FxDelete
		v.FxOpen, v.FxDelete = address(openFile), address(deleteFile)
	})
	vfs.mu.Lock()
	defer vfs.mu.Unlock()
	vfs.disks[folder] = d
	return func() {
		vfs.mu.Lock()
		defer vfs.mu.Unlock()
		delete(vfs.disks, folder)
	}
}

// SQLite in Go keeps its functions as in C: as addresses.

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

type (
	openFunc    = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	deleteFunc  = func(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32
	closeFunc   = func(tls *libc.TLS, file uintptr) int32
	controlFunc = func(tls *libc.TLS, file uintptr, op int32, arg uintptr) int32
)

func handleOf(file uintptr) *handle {
	vfs.mu.RLock()
	defer vfs.mu.RUnlock()
	return vfs.handles[file]
}

func diskOf(name uintptr) (*Disk, string) {
	if name == 0 {
		return nil, ""
	}
	path := libc.GoString(name)
	vfs.mu.RLock()
	defer vfs.mu.RUnlock()
	return vfs.disks[filepath.Dir(path)], filepath.Base(path)
}

func openFile(tls *libc.TLS, v, name, file uintptr, flags int32, outFlags uintptr) int32 {
	d, base := diskOf(name)
	kept := flags&(sqlite3.SQLITE_OPEN_MAIN_DB|sqlite3.SQLITE_OPEN_MAIN_JOURNAL|sqlite3.SQLITE_OPEN_WAL) != 0
	if d != nil && kept && d.gone() {
		return sqlite3.SQLITE_CANTOPEN
	}
	rc := function[openFunc](vfs.open)(tls, v, name, file, flags, outFlags)
	if rc != sqlite3.SQLITE_OK || d == nil || !kept {
		return rc
	}
	d.create(base)
	object := (*sqlite3.Tsqlite3_file)(pointer(file))
	h := &handle{d, base, (*sqlite3.Tsqlite3_io_methods)(pointer(object.FpMethods))}
	vfs.mu.Lock()
	defer vfs.mu.Unlock()
	vfs.handles[file] = h
	m := vfs.methods[object.FpMethods]
	if m == nil {
		m = (*sqlite3.Tsqlite3_io_methods)(pointer(libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*h.real))))) // where SQLite's own memory is
		*m = *h.real
		m.FiVersion = 2 // without mapping the file into memory
		m.FxClose, m.FxRead, m.FxWrite = address(closeFile), address(readFile), address(writeFile)
		m.FxTruncate, m.FxSync, m.FxFileSize = address(truncateFile), address(syncFile), address(sizeFile)
		m.FxFileControl = address(controlFile)
		vfs.methods[object.FpMethods] = m
	}
	object.FpMethods = uintptr(unsafe.Pointer(m)) //nolint:gosec // it is kept in methods
	return sqlite3.SQLITE_OK
}

func deleteFile(tls *libc.TLS, v, name uintptr, syncDir int32) int32 {
	if d, base := diskOf(name); d != nil && !d.remove(base) {
		return sqlite3.SQLITE_IOERR_DELETE
	}
	return function[deleteFunc](vfs.remove)(tls, v, name, syncDir)
}

func closeFile(tls *libc.TLS, file uintptr) int32 {
	h := handleOf(file)
	vfs.mu.Lock()
	delete(vfs.handles, file)
	vfs.mu.Unlock()
	return function[closeFunc](h.real.FxClose)(tls, file)
}

func readFile(_ *libc.TLS, file, buffer uintptr, n int32, at int64) int32 {
	h := handleOf(file)
	return h.disk.read(h.name, unsafe.Slice((*byte)(pointer(buffer)), n), at) //nolint:gosec // SQLite's own buffer
}

func writeFile(_ *libc.TLS, file, buffer uintptr, n int32, at int64) int32 {
	h := handleOf(file)
	return h.disk.write(h.name, unsafe.Slice((*byte)(pointer(buffer)), n), at) //nolint:gosec // the same
}

func truncateFile(_ *libc.TLS, file uintptr, size int64) int32 {
	h := handleOf(file)
	return h.disk.truncate(h.name, size)
}

func syncFile(_ *libc.TLS, file uintptr, _ int32) int32 {
	h := handleOf(file)
	return h.disk.sync(h.name)
}

func sizeFile(_ *libc.TLS, file, size uintptr) int32 {
	h := handleOf(file)
	*(*int64)(pointer(size)) = h.disk.size(h.name)
	return sqlite3.SQLITE_OK
}

func controlFile(tls *libc.TLS, file uintptr, op int32, arg uintptr) int32 {
	if op == sqlite3.SQLITE_FCNTL_SIZE_HINT { // it would make the empty file longer
		return sqlite3.SQLITE_OK
	}
	return function[controlFunc](handleOf(file).real.FxFileControl)(tls, file, op, arg)
}

// lay puts empty files for what an image holds, so that they are found.
func lay(folder string, i Image) error {
	for name := range i {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			return err
		}
	}
	return nil
}
