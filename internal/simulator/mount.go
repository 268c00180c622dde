package simulator

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/kabar-io/kabar/internal/store/vfs"
)

// mounts are the folders that a Disk has: what SQLite keeps there is in the
// disk's memory. The files themselves are there and empty, for their locks and
// for what connections share. Other folders are the system's, as ever.
type mounts struct {
	once sync.Once

	mu    sync.RWMutex
	disks map[string]*Disk // guarded by mu; by folder
}

var mounted = mounts{disks: map[string]*Disk{}}

// mount puts a disk where folder is, until the function that it returns is
// called. No file of it may be open by then.
func mount(folder string, d *Disk) (unmount func()) {
	mounted.once.Do(func() { vfs.Insert(&mounted) })
	mounted.mu.Lock()
	defer mounted.mu.Unlock()
	mounted.disks[folder] = d
	return func() {
		mounted.mu.Lock()
		defer mounted.mu.Unlock()
		delete(mounted.disks, folder)
	}
}

func (m *mounts) diskOf(path string) *Disk {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.disks[filepath.Dir(path)]
}

func (m *mounts) Open(path string, below func() (vfs.File, error)) (vfs.File, error) {
	d := m.diskOf(path)
	if d == nil {
		return below()
	}
	if d.gone() {
		return nil, syscall.EIO
	}
	f, err := below()
	if err != nil {
		return nil, err
	}
	name := filepath.Base(path)
	d.create(name)
	return file{d, name, f}, nil
}

func (m *mounts) Remove(path string, below func() error) error {
	if d := m.diskOf(path); d != nil && !d.remove(filepath.Base(path)) {
		return syscall.EIO
	}
	return below()
}

// file is one opening of a file.
type file struct {
	disk  *Disk
	name  string
	empty vfs.File // the system's
}

func (f file) ReadAt(p []byte, at int64) (int, error)  { return f.disk.read(f.name, p, at) }
func (f file) WriteAt(p []byte, at int64) (int, error) { return f.disk.write(f.name, p, at) }
func (f file) Truncate(size int64) error               { return f.disk.truncate(f.name, size) }
func (f file) Sync() error                             { return f.disk.sync(f.name) }
func (f file) Size() (int64, error)                    { return f.disk.size(f.name), nil }
func (f file) Close() error                            { return f.empty.Close() }

// lay puts empty files for what an image holds, so that they are found.
func lay(folder string, i Image) error {
	for name := range i {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			return err
		}
	}
	return nil
}
