package events

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/ws"
)

// stream is a response of Server-Sent Events as a connection of the hub. What
// is sent waits here, bounded, for the request's own goroutine to write it.
type stream struct {
	edge    *gateway.Edge
	limit   int // bytes that may wait; 0: no bound
	wake    chan struct{}
	drained func()

	mu      sync.Mutex
	waiting []byte // guarded by mu
	refused bool   // guarded by mu: a Send was; drained is owed
	ended   bool   // guarded by mu
	last    []byte // guarded by mu: what ends the stream
	code    uint16 // guarded by mu: why it has ended, with reason; 1006 where the client went
	reason  string // guarded by mu
}

// Send queues frames for the writer. See hub.Conn.
func (s *stream) Send(frames ...[]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return true
	}
	n := 0
	for _, f := range frames {
		n += len(f)
	}
	if s.limit > 0 && len(s.waiting) > 0 && len(s.waiting)+n > s.limit {
		s.refused = true
		return false
	}
	for _, f := range frames {
		s.waiting = append(s.waiting, f...)
	}
	s.signal()
	return true
}

// Share is Send.
func (s *stream) Share(frames []byte, _ func() []byte) bool { return s.Send(frames) }

// Close ends the stream with an event that says why. An EventSource comes back
// by itself; retry tells it when.
func (s *stream) Close(code uint16, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended, s.code, s.reason = true, code, reason
	b := append([]byte("event: close\ndata: {\"code\":"), strconv.Itoa(int(code))...)
	b = append(b, `,"reason":`...)
	b = gateway.AppendString(b, reason)
	b = append(b, "}\n"...)
	if ms, ok := gateway.RetryAfter(reason); ok {
		b = append(b, "retry: "...)
		b = strconv.AppendInt(b, int64(ms), 10)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	s.last = b
	s.signal()
}

// Of is the stream's gateway; it rests on no login. See gateway.Open.
func (s *stream) Of() (e *gateway.Edge, login uint64) { return s.edge, 0 }

// why is why it has ended, as a WebSocket says it.
func (s *stream) why() (code uint16, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		return ws.CodeAbnormal, ""
	}
	return s.code, s.reason
}

// signal needs mu.
func (s *stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take is what there is to write, and whether it is the last.
func (s *stream) take() (b []byte, drained, end bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, s.waiting = s.waiting, nil
	drained, s.refused = s.refused, false
	if s.ended {
		b = append(b, s.last...)
	}
	return b, drained, s.ended
}

// write writes until the stream ends or the client has gone.
func (s *stream) write(ctx context.Context, w http.ResponseWriter, keepalive, stall time.Duration) {
	control := http.NewResponseController(w)
	alive := time.NewTicker(keepalive)
	defer alive.Stop()
	for {
		var b []byte
		var drained, end bool
		select {
		case <-ctx.Done():
			return
		case <-alive.C:
			b = []byte(": still here\n\n")
		case <-s.wake:
			if b, drained, end = s.take(); len(b) == 0 {
				continue // the last time took it already
			}
		}
		_ = control.SetWriteDeadline(time.Now().Add(stall))
		if _, err := w.Write(b); err != nil {
			return
		}
		if control.Flush() != nil || end {
			return
		}
		if drained {
			s.drained()
		}
	}
}
