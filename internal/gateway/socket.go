package gateway

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/lifecycle"
	"github.com/kabar-io/kabar/internal/remote"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// Edge is what every gateway stands on.
type Edge struct {
	Name      string             // of the gateway
	Lifecycle *lifecycle.Service // hears of sessions; nil: nobody asks
	Hub       *hub.Hub
	Acked     *hub.Collector
	Epoch     string
	Origins   *Origins
	Places    *Places
	Admission *Admission // nil: everybody is let in at once
	Log       *slog.Logger
	Resumes   *Resumes // nil: nobody counts
}

// For is the edge for one gateway, by its name.
func (e *Edge) For(name string) *Edge {
	own := *e
	own.Name = name
	return &own
}

// Socket is a WebSocket as a session of the hub. A dialect's own connection
// embeds it and adds OnMessage. Its pongs move nobody's position, where the
// dialect's OnPong does not Acknowledge.
type Socket struct {
	hub.Session
	edge *Edge
	more *more // static once the upgrade is accepted; nil for most
}

// more is a session beside the socket's own.
type more struct {
	session *hub.Session
	next    *more
}

// Open subscribes the socket on its connection. The session's fields are set
// before.
func (s *Socket) Open(ctx context.Context, e *Edge, c *ws.Conn, w Way) error {
	_, err := s.open(ctx, e, c, w, 0)
	return err
}

func (s *Socket) open(ctx context.Context, e *Edge, c *ws.Conn, w Way, login uint64) (Came, error) {
	s.edge, s.Conn = e, c
	if err := e.Places.Take(c.RemoteAddr()); err != nil {
		return Came{}, err
	}
	came, err := e.Begin(ctx, &s.Session, w)
	if err != nil {
		e.Places.Release(c.RemoteAddr())
		return came, err
	}
	e.Opened(&s.Session, login)
	return came, nil
}

// Hear lets an open socket hear one more topic, on s.Conn or, where that is
// nil, on its own connection. It is for the upgrade. Where it fails, the socket
// hears nothing any more.
func (s *Socket) Hear(ctx context.Context, session *hub.Session, from hub.Start) error {
	if session.Conn == nil {
		session.Conn = s.Conn
	}
	session.Inside = hub.Beside // the client is counted already
	if err := s.edge.Hub.Subscribe(ctx, session, from); err != nil {
		s.end(0, 0, "")
		return err
	}
	s.more = &more{session, s.more}
	return nil
}

// leave takes the sessions out, and gives back the place that the upgrade took;
// true the first time.
func (s *Socket) leave() bool {
	if !s.edge.Hub.Unsubscribe(&s.Session) {
		return false
	}
	for m := s.more; m != nil; m = m.next {
		s.edge.Hub.Unsubscribe(m.session)
	}
	if c, ok := s.Conn.(*ws.Conn); ok {
		s.edge.Places.Release(c.RemoteAddr())
	}
	return true
}

// end takes the sessions out, and says so of the socket's own; of one that was
// refused after all, which has no close code, there is nothing to say.
func (s *Socket) end(login uint64, code uint16, reason string) {
	if s.leave() {
		s.edge.Closed(&s.Session, login, code, reason)
	}
}

// Ping is the position that the peer will have when it answers.
func (s *Socket) Ping(_ *ws.Conn, dst []byte) []byte {
	return AppendPosition(dst, s.edge.Epoch, s.Position())
}

// OnPong is of no use to anybody.
func (s *Socket) OnPong(*ws.Conn, []byte) {}

// Acknowledge moves owner's position to the one that a pong brings back: it
// proves that the peer has everything up to there.
func (s *Socket) Acknowledge(owner string, p []byte) {
	seq, err := ParsePosition(string(p), s.edge.Epoch)
	if err != nil || seq > s.Position() {
		return // not one of our pings
	}
	s.edge.Acked.Acked(hub.Acked{Owner: owner, Topic: s.Topic, Seq: seq})
}

// OnDrain lets the sessions that wait for the connection go on.
func (s *Socket) OnDrain(*ws.Conn) {
	s.Drained()
	for m := s.more; m != nil; m = m.next {
		if m.session.Conn == s.Conn {
			m.session.Drained()
		}
	}
}

// OnClose takes the sessions out.
func (s *Socket) OnClose(_ *ws.Turn, _ *ws.Conn, code uint16, reason string) { s.end(0, code, reason) }

// Gone is the body of a 410, and nil for any other error.
func Gone(err error) map[string]any {
	var g *hub.GoneError
	if !errors.As(err, &g) {
		return nil
	}
	return map[string]any{"reason": g.Reason, "head": g.Head}
}

// Places bounds how many connections one address holds, so that nobody takes
// all of them. Most 0 is no bound.
type Places struct {
	Most    int // static
	Refused atomic.Int64

	mu    sync.Mutex
	taken map[uint64]int32 // guarded by mu; by a hash of the address: there may be as many as connections
}

var placesSeed = maphash.MakeSeed()

func hostOf(from remote.Addr) uint64 {
	n := from.Network()
	return maphash.Bytes(placesSeed, n[:])
}

// Take takes a place for a peer, until Release.
func (p *Places) Take(from remote.Addr) error {
	if p.Most <= 0 {
		return nil
	}
	host := hostOf(from)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken == nil {
		p.taken = map[uint64]int32{}
	}
	if int(p.taken[host]) >= p.Most {
		p.Refused.Add(1)
		return status.Errorf(status.TooMany, "TOO_MANY_CONNECTIONS", "too many connections from this address; close some, or try again later")
	}
	p.taken[host]++
	return nil
}

// Release gives a place back that Take gave: once.
func (p *Places) Release(from remote.Addr) {
	if p.Most <= 0 {
		return
	}
	host := hostOf(from)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken[host]--; p.taken[host] <= 0 {
		delete(p.taken, host)
	}
}

// ConnState is the hook of an http.Server that counts its connections, until
// they are upgraded: one over the bound is closed at once.
func (p *Places) ConnState() func(net.Conn, http.ConnState) {
	var held sync.Map // net.Conn → its address
	return func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			from := remote.Of(c.RemoteAddr())
			if p.Take(from) != nil {
				_ = c.Close()
				return
			}
			held.Store(c, from)
		case http.StateClosed, http.StateHijacked:
			if from, ok := held.LoadAndDelete(c); ok {
				p.Release(from.(remote.Addr))
			}
		default:
		}
	}
}
