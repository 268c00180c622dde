// Package storetest starts what the core's tests stand on: a real store and a
// running journal. Only tests import it.
package storetest

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store"
)

// Start opens the store in folder and runs a journal on it that tells nobody,
// until stop or the test's end; stop may be called more than once. What a test
// leaves in the folder has to be whole, whatever it wrote, edited and deleted.
func Start(tb testing.TB, folder string) (st *store.Store, j *journal.Journal, stop func()) {
	tb.Helper()
	st, err := store.Open(tb.Context(), store.Options{Folder: folder})
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
