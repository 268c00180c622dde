// Package storetest starts what the core's tests stand on: a real store and a
// running journal. Only tests import it.
package storetest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store"
)

// Open opens the store in folder as store.Open does. What an empty folder gets is
// copied from one that was made before: the race detector takes half a second to
// see the migrations through.
func Open(tb testing.TB, folder string) (*store.Store, error) {
	tb.Helper()
	path := filepath.Join(folder, "kabar.db")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		made, err := empty()
		if err == nil {
			err = errors.Join(os.MkdirAll(folder, 0o700), os.WriteFile(path, made, 0o600))
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return store.Open(context.Background(), store.Options{Folder: folder})
}

// empty is a database that holds nothing but its epoch, which the folders of one
// test program share.
var empty = sync.OnceValues(func() (made []byte, err error) {
	folder, err := os.MkdirTemp("", "kabar-empty")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	st, err := store.Open(context.Background(), store.Options{Folder: folder})
	if err != nil {
		return nil, err
	}
	if err := st.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(folder, "kabar.db")) //nolint:gosec // it was made here
})

// Start opens the store in folder and runs a journal on it that tells nobody,
// until stop or the test's end; stop may be called more than once. What a test
// leaves in the folder has to be whole, whatever it wrote, edited and deleted.
func Start(tb testing.TB, folder string) (st *store.Store, j *journal.Journal, stop func()) {
	tb.Helper()
	st, err := Open(tb, folder)
	if err != nil {
		tb.Fatal(err)
	}
	if j, err = journal.Open(tb.Context(), journal.Options{Store: st}); err != nil {
		tb.Fatal(errors.Join(err, st.Close()))
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx, func([]*journal.Message) {}) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-done, st.Close()); err != nil {
			tb.Error(err)
		}
		if _, test := tb.(*testing.T); test {
			if _, faults, err := store.Check(context.Background(), folder); err != nil || len(faults) > 0 {
				tb.Error("what is left in the folder is damaged:", faults, err)
			}
		}
	})
	tb.Cleanup(stop)
	return st, j, stop
}

// Failing is a store whose commits fail while broken is set.
func Failing(s journal.Store, broken *atomic.Bool) journal.Store { return failing{s, broken} }

type failing struct {
	journal.Store
	broken *atomic.Bool // guards itself
}

type failingBatch struct {
	journal.Batch
	broken *atomic.Bool // guards itself
}

func (f failing) Begin(ctx context.Context) (journal.Batch, error) {
	b, err := f.Store.Begin(ctx)
	return failingBatch{b, f.broken}, err
}

func (b failingBatch) Commit() error {
	if b.broken.Load() {
		return errors.New("no space left on device")
	}
	return b.Batch.Commit()
}

// CPUTime is what this process has used of all cores so far: a benchmark on a
// machine that others use too compares this, and not its clock.
func CPUTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
