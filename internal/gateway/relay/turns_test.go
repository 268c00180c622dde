package relay

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTurns()
		over, ok := ts.take(t.Context(), 1)
		if !ok {
			t.Fatal("the first waits")
		}
		if other, ok := ts.take(t.Context(), 2); !ok {
			t.Fatal("another waits")
		} else {
			other()
		}
		at := time.Now()
		if _, ok := ts.take(t.Context(), 1); ok || time.Since(at) != storeTime {
			t.Fatalf("the second is at it (%v), after %v", ok, time.Since(at))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, ok := ts.take(ctx, 1); ok || time.Since(at) != storeTime+time.Second {
			t.Fatal("who has gone waits on")
		}
		most, n := 0, 0
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				over, ok := ts.take(t.Context(), 1)
				if !ok {
					t.Error("waited for nothing")
					return
				}
				n++
				most = max(most, n)
				time.Sleep(time.Second)
				n--
				over()
			})
		}
		time.Sleep(time.Second)
		over()
		wg.Wait()
		if most != 1 || n != 0 || len(ts.busy) != 0 {
			t.Fatalf("%d at once, %d left over, %v", most, n, ts.busy)
		}
	})
}
