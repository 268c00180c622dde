package vfs_test

import (
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/kabar-io/kabar/internal/store/vfs"
)

// watcher notes what it is asked under its name, of one folder.
type watcher struct {
	name, folder string
	refuse       error // what Open says after it has opened the file

	asked *[]string // guarded by mu
	mu    *sync.Mutex
}

func (w *watcher) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*w.asked = append(*w.asked, w.name+" "+what)
}

func (w *watcher) Open(path string, below func() (vfs.File, error)) (vfs.File, error) {
	if filepath.Dir(path) != w.folder {
		return below()
	}
	w.note("open " + filepath.Base(path))
	f, err := below()
	if err != nil || w.refuse != nil {
		return nil, errors.Join(err, w.refuse)
	}
	return watched{f, w}, nil
}

func (w *watcher) Remove(path string, below func() error) error {
	if filepath.Dir(path) == w.folder {
		w.note("remove " + filepath.Base(path))
	}
	return below()
}

type watched struct {
	vfs.File
	w *watcher
}

func (f watched) Sync() error { f.w.note("sync"); return f.File.Sync() }

func exec(t *testing.T, path string, statements ...string) error {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, e := db.ExecContext(t.Context(), s); e != nil {
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, db.Close())
}

// TestLayers: the one that was inserted last is asked first, each sees every
// file, and what is written comes back through both.
func TestLayers(t *testing.T) {
	folder := t.TempDir()
	var asked []string
	var mu sync.Mutex
	vfs.Insert(&watcher{name: "lower", folder: folder, asked: &asked, mu: &mu})
	vfs.Insert(&watcher{name: "upper", folder: folder, asked: &asked, mu: &mu})
	path := filepath.Join(folder, "a.db")
	if err := exec(t, path, "CREATE TABLE a (t TEXT)", "INSERT INTO a VALUES (hex(zeroblob(20000)))"); err != nil {
		t.Fatal(err)
	}
	if err := exec(t, path, "CREATE TABLE b AS SELECT CASE WHEN t = hex(zeroblob(20000)) THEN 1 ELSE json('another text') END FROM a"); err != nil {
		t.Error(err)
	}
	for _, what := range []string{"open a.db", "open a.db-wal", "sync", "remove a.db-wal"} {
		upper, lower := slices.Index(asked, "upper "+what), slices.Index(asked, "lower "+what)
		if upper < 0 || lower != upper+1 {
			t.Errorf("%s: the upper layer is asked at %d, the lower one at %d", what, upper, lower)
		}
	}
}

// TestARefusal is SQLite's error, and nothing stays open of what a layer below
// had opened: who comes next has its locks.
func TestARefusal(t *testing.T) {
	folder := t.TempDir()
	var asked []string
	var mu sync.Mutex
	w := &watcher{name: "w", folder: folder, refuse: io.ErrClosedPipe, asked: &asked, mu: &mu}
	vfs.Insert(w)
	path := filepath.Join(folder, "a.db")
	before := descriptors(t)
	for range 5 {
		if err := exec(t, path, "CREATE TABLE a (t TEXT)"); err == nil || !strings.Contains(err.Error(), "unable to open") {
			t.Errorf("SQLite says %v", err)
		}
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d files were open, and %d are", before, after)
	}
	w.refuse = nil
	if err := exec(t, path, "CREATE TABLE a (t TEXT)"); err != nil {
		t.Error(err)
	}
}

// descriptors is how many files of ours are open below temporary folders.
func descriptors(t *testing.T) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // not on Linux
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, os.TempDir()) {
			n++
		}
	}
	return n
}
