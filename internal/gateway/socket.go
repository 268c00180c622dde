package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// Edge is what every gateway stands on.
type Edge struct {
	Hub     *hub.Hub
	Acked   *hub.Collector
	Epoch   string
	Origins *Origins
	Places  *Places
	Log     *slog.Logger
}

// Socket is a WebSocket as a session of the hub. A dialect's own connection
// embeds it and adds OnMessage.
type Socket struct {
	hub.Session
	edge   *Edge
	owner  string         // whose acknowledged position its pongs move, "" for nobody's
	more   []*hub.Session // beside the one above, static once the upgrade is accepted
	closed func()         // undoes what the upgrade took
}

// Open subscribes the socket on its connection; owner is whose position its
// pongs move. The session's fields are set before.
func (s *Socket) Open(ctx context.Context, e *Edge, c *ws.Conn, owner string, from hub.Start) error {
	s.edge, s.owner, s.Conn = e, owner, c
	release, err := e.Places.Take(c.RemoteAddr())
	if err != nil {
		return err
	}
	if err := e.Hub.Subscribe(ctx, &s.Session, from); err != nil {
		release()
		return err
	}
	s.closed = release
	return nil
}

// Hear lets an open socket hear one more topic, on s.Conn or, where that is
// nil, on its own connection. It is for the upgrade. Where it fails, the socket
// hears nothing any more.
func (s *Socket) Hear(ctx context.Context, more *hub.Session, from hub.Start) error {
	if more.Conn == nil {
		more.Conn = s.Conn
	}
	more.Inside = true // the client is counted already
	if err := s.edge.Hub.Subscribe(ctx, more, from); err != nil {
		s.leave()
		return err
	}
	s.more = append(s.more, more)
	return nil
}

// leave takes the sessions out, and undoes what the upgrade took.
func (s *Socket) leave() {
	s.edge.Hub.Unsubscribe(&s.Session)
	for _, m := range s.more {
		s.edge.Hub.Unsubscribe(m)
	}
	s.closed()
}

// Ping is the position that the peer will have when it answers.
func (s *Socket) Ping(_ *ws.Conn, dst []byte) []byte {
	return AppendPosition(dst, s.edge.Epoch, s.Position())
}

// OnPong proves that the peer has everything up to the position it brings back.
func (s *Socket) OnPong(_ *ws.Conn, p []byte) {
	if s.owner == "" {
		return
	}
	seq, err := ParsePosition(string(p), s.edge.Epoch)
	if err != nil || seq > s.Position() {
		return // not one of our pings
	}
	s.edge.Acked.Acked(hub.Acked{Owner: s.owner, Topic: s.Topic, Seq: seq})
}

// OnDrain lets the sessions that wait for the connection go on.
func (s *Socket) OnDrain(*ws.Conn) {
	s.Drained()
	for _, m := range s.more {
		if m.Conn == s.Conn {
			m.Drained()
		}
	}
}

// OnClose takes the sessions out.
func (s *Socket) OnClose(*ws.Conn, uint16, string) { s.leave() }

// Resume finds where a session begins that asks for what came after a
// position: "", a position, or "last" for where its owner has everything;
// first is where an owner begins that never said.
func (e *Edge) Resume(ctx context.Context, after, owner string, first func() (uint64, error)) (hub.Start, error) {
	switch after {
	case "":
		return hub.Now(), nil
	case "last":
		if owner == "" {
			return hub.Start{}, status.Errorf(status.Invalid, "NO_POSITION", "after=last needs a name to keep a position under; give a position instead")
		}
		seq, ok, err := e.Acked.Position(ctx, owner)
		if err == nil && !ok {
			seq, err = first()
		}
		return hub.After(seq), err
	}
	seq, err := ParsePosition(after, e.Epoch)
	return hub.After(seq), err
}

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
	taken map[string]int // guarded by mu; by address
}

// Take takes a place for the peer at host:port; release gives it back, once.
func (p *Places) Take(remote string) (release func(), err error) {
	if p.Most <= 0 {
		return func() {}, nil
	}
	host := account.Origin(remote)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken == nil {
		p.taken = map[string]int{}
	}
	if p.taken[host] >= p.Most {
		p.Refused.Add(1)
		return nil, status.Errorf(status.TooMany, "TOO_MANY_CONNECTIONS", "too many connections from this address; close some, or try again later")
	}
	p.taken[host]++
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.taken[host]--; p.taken[host] <= 0 {
			delete(p.taken, host)
		}
	}), nil
}

// ConnState is the hook of an http.Server that counts its connections, until
// they are upgraded: one over the bound is closed at once.
func (p *Places) ConnState() func(net.Conn, http.ConnState) {
	var held sync.Map // net.Conn → release
	return func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			release, err := p.Take(c.RemoteAddr().String())
			if err != nil {
				_ = c.Close()
				return
			}
			held.Store(c, release)
		case http.StateClosed, http.StateHijacked:
			if release, ok := held.LoadAndDelete(c); ok {
				release.(func())()
			}
		default:
		}
	}
}
