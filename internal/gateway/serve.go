package gateway

import (
	"errors"
	"net"
	"net/http"
	"sync"

	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// Serve answers on l until sockets and h are shut down: who begins with asking
// for a WebSocket is sockets' at once, all others are h's. h has a Handler of
// Upgrades, for those who ask for one later. l is closed when it returns.
func Serve(l net.Listener, sockets *ws.Server, find func(path string) ws.Acceptor, h *http.Server) error {
	q := &passed{addr: l.Addr()}
	q.more = sync.NewCond(&q.mu)
	served := make(chan error, 1)
	go func() { served <- h.Serve(q) }()
	err := sockets.Listen(l, route(find), q.put)
	if err != nil {
		_ = q.Close()
	}
	if herr := <-served; !errors.Is(herr, http.ErrServerClosed) && !errors.Is(herr, net.ErrClosed) {
		err = errors.Join(err, herr)
	}
	return err
}

// route is find as one Acceptor.
func route(find func(path string) ws.Acceptor) ws.Acceptor {
	return func(r *ws.Request, c *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) {
		if accept := find(r.Path); accept != nil {
			return accept(r, c)
		}
		return nil, nil, Refuse(r, status.Errorf(status.NotFound, "", "no WebSocket endpoint is at %s", r.Path), JSON(map[string]any{
			"code": 404, "error": "Not Found", "message": "no WebSocket endpoint is at this path",
		}))
	}
}

// passed is a listener of connections that somebody else accepted.
type passed struct {
	addr net.Addr // static

	mu     sync.Mutex
	more   *sync.Cond
	conns  []net.Conn // guarded by mu
	closed bool       // guarded by mu
}

func (q *passed) put(c net.Conn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		_ = c.Close()
		return
	}
	q.conns = append(q.conns, c)
	q.more.Signal()
}

// Accept waits for the next one.
func (q *passed) Accept() (net.Conn, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.conns) == 0 && !q.closed {
		q.more.Wait()
	}
	if q.closed {
		return nil, net.ErrClosed
	}
	c := q.conns[0]
	q.conns[0] = nil
	q.conns = q.conns[1:]
	return c, nil
}

// Close lets nobody in any more, who waits neither.
func (q *passed) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, c := range q.conns {
		_ = c.Close()
	}
	q.conns = nil
	q.more.Broadcast()
	return nil
}

// Addr is where they came in.
func (q *passed) Addr() net.Addr { return q.addr }
