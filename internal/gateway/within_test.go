package gateway_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/ws"
)

func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			waited bool
			end    func(w *gateway.Within, cancel func())
			want   error
		}{
			"time, not waited for":   {false, func(*gateway.Within, func()) { time.Sleep(time.Second) }, context.DeadlineExceeded},
			"time":                   {true, func(*gateway.Within, func()) { time.Sleep(time.Second) }, context.DeadlineExceeded},
			"end":                    {true, func(w *gateway.Within, _ func()) { w.End() }, context.Canceled},
			"parent, not waited for": {false, func(_ *gateway.Within, cancel func()) { cancel() }, context.Canceled},
		} {
			parent, cancel := context.WithCancel(t.Context())
			defer cancel()
			w := gateway.NewWithin(parent, &ws.Request{}, time.Second)
			if at, ok := w.Deadline(); !ok || !at.Equal(time.Now().Add(time.Second)) {
				t.Errorf("%s: until %v", name, at)
			}
			if c.waited {
				select {
				case <-w.Done():
					t.Errorf("%s: it has ended", name)
				default:
				}
			}
			if w.Err() != nil {
				t.Errorf("%s: %v", name, w.Err())
			}
			c.end(w, cancel)
			synctest.Wait()
			if !errors.Is(w.Err(), c.want) {
				t.Errorf("%s: %v, want %v", name, w.Err(), c.want)
			}
			<-w.Done()
			w.End()
		}
	})
}
