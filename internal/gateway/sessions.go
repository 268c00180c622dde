package gateway

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/ws"
)

// Report is what is to be known of a login's live socket.
type Report struct {
	ID       string // "<login>-<mark>": it stands for this socket and no later one
	Gateway  string
	Address  string // host:port of the peer
	Since    time.Time
	Queued   int // bytes that wait to be sent
	Topic    string
	Position uint64 // in its topic: everything up to there was handed to the connection
	Live     bool   // and hears what comes as it comes; else it is catching up
	Came     Came
}

// Sessions are the live sockets of a login, by gateway, the eldest first.
func (e *Edge) Sessions(login uint64) []Report {
	var all []Report
	e.sockets(login, func(s *LoginSocket, c *ws.Conn) {
		all = append(all, Report{
			ID: s.id(), Gateway: s.edge.Name, Address: c.RemoteAddr().String(), Since: e.Hub.Opened(&s.Session), Queued: c.Queued(),
			Topic: s.Topic, Position: s.Position(), Live: s.Live(), Came: s.login.came,
		})
	})
	slices.SortFunc(all, func(a, b Report) int {
		return cmp.Or(strings.Compare(a.Gateway, b.Gateway), a.Since.Compare(b.Since), strings.Compare(a.ID, b.ID))
	})
	return all
}

// Disconnect ends the connection of a session by its id; false where there is
// none. Its login lives on: the peer is asked to stay away, and may come back.
func (e *Edge) Disconnect(id string) (was bool) {
	login, _, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(login, 10, 64)
	if err != nil {
		return false
	}
	e.sockets(n, func(s *LoginSocket, c *ws.Conn) {
		if s.id() == id {
			was = true
			c.Close(ws.CodeNormal, "closed by the administrator")
		}
	})
	return was
}

// sockets calls f for each open socket of a login.
func (e *Edge) sockets(login uint64, f func(s *LoginSocket, c *ws.Conn)) {
	for _, session := range e.Hub.SessionsOf(hub.CredentialOf(account.LoginCredential(login))) {
		c, is := session.Conn.(*ws.Conn)
		if !is {
			continue
		}
		if o, is := handler(c).(interface{ socket() *LoginSocket }); is && &o.socket().Session == session && o.socket().LoginID() == login {
			f(o.socket(), c)
		}
	}
}

// handler is what a gateway gave a connection, nil where it has none yet.
func handler(c *ws.Conn) ws.Handler {
	h := c.Handler()
	if w, wrapped := h.(interface{ Unwrap() ws.Handler }); wrapped {
		h = w.Unwrap()
	}
	return h
}

func (s *LoginSocket) socket() *LoginSocket { return s }

// id names a login's socket.
func (s *LoginSocket) id() string {
	return strconv.FormatUint(s.login.id, 10) + "-" + strconv.FormatUint(uint64(s.login.mark), 36)
}
