package gateway

import (
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/lifecycle"
	"github.com/kabar-io/kabar/internal/ws"
)

// Opened takes that a client's session has begun.
func (e *Edge) Opened(s *hub.Session, login uint64) {
	if e.Lifecycle.Wants() {
		e.Lifecycle.Opened(s, e.session(s, login))
	}
}

// Closed takes that a client's session has ended; with code 0, that it was
// refused after it had begun.
func (e *Edge) Closed(s *hub.Session, login uint64, code uint16, reason string) {
	if e.Lifecycle.Wants() {
		e.Lifecycle.Closed(s, lifecycle.Closed{Session: e.session(s, login), Code: code, Reason: reason})
	}
}

func (e *Edge) session(s *hub.Session, login uint64) lifecycle.Session {
	return lifecycle.Session{Gateway: e.Name, Topic: s.Topic, User: s.User, Login: login, Opened: e.Hub.Opened(s)}
}

// Open calls f for every client's session that is open: for who begins to ask
// late. Whoever is still on the way in is told as always (Edge.Opened).
func Open(h *hub.Hub, f func(key *hub.Session, s lifecycle.Session)) {
	for _, s := range h.Sessions() {
		var of any = s.Conn
		if c, is := s.Conn.(*ws.Conn); is {
			of = handler(c)
		}
		if o, is := of.(interface{ Of() (*Edge, uint64) }); is {
			e, login := o.Of()
			f(s, e.session(s, login))
		}
	}
}

// Of is the socket's gateway, and no login.
func (s *Socket) Of() (e *Edge, login uint64) { return s.edge, 0 }

// Of is the socket's gateway and login.
func (s *LoginSocket) Of() (e *Edge, login uint64) { return s.edge, s.LoginID() }
