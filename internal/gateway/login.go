package gateway

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// Logins is what the sockets of one gateway's logins share.
type Logins struct {
	Accounts *account.Service
	Mark     string // behind a login's credential it owns the position that pongs move; "": the login's own
}

// Owner is who owns the position of a login's sockets.
func (s *Logins) Owner(login uint64) string { return account.LoginCredential(login) + s.Mark }

// LoginSocket is a Socket that rests on a login: what its peer sends keeps the
// login alive, and it ends with it. Without LogIn it rests on nobody's.
type LoginSocket struct {
	Socket
	login *login // static; nil for nobody's
}

// login is what of an account.Login a socket needs, times in Unix nanoseconds.
type login struct {
	// static
	of      *Logins
	id      uint64
	created int64
	idle    time.Duration
	came    Came   // written while it opens
	mark    uint32 // what tells the login's sockets apart

	// owned by the reading side
	seen    int64
	expires int64
}

// LogIn lets the socket rest on a login; on nobody's where it is zero.
func (s *LoginSocket) LogIn(of *Logins, l account.Login) {
	if l.ID != 0 {
		s.login = &login{
			of: of, id: l.ID, created: l.Created.UnixNano(), idle: l.Idle, seen: l.Seen.UnixNano(), expires: l.Expires.UnixNano(),
		}
	}
}

// Open is Socket's, and keeps how the peer came back.
func (s *LoginSocket) Open(ctx context.Context, e *Edge, c *ws.Conn, w Way) error {
	came, err := s.open(ctx, e, c, w, s.LoginID())
	if s.login != nil {
		s.login.came, s.login.mark = came, rand.Uint32() //nolint:gosec // it is a name, and opens nothing
	}
	return err
}

// LoginID is the login's, 0 for nobody's.
func (s *LoginSocket) LoginID() uint64 {
	if s.login == nil {
		return 0
	}
	return s.login.id
}

// Alive says whether the login lives, and keeps it alive. Where it has ended,
// so does the connection, and what came on it is not carried out.
func (s *LoginSocket) Alive(c *ws.Conn) bool {
	l := s.login
	if l == nil {
		return true
	}
	is := l.of.Accounts.Touch(account.Login{
		ID: l.id, User: s.User, Created: time.Unix(0, l.created), Seen: time.Unix(0, l.seen), Expires: time.Unix(0, l.expires), Idle: l.idle,
	})
	l.seen, l.expires = is.Seen.UnixNano(), is.Expires.UnixNano()
	if time.Now().After(is.Expires) {
		c.Close(status.Unauthenticated.Close(), account.ErrLoginEnded.Message)
		return false
	}
	return true
}

// OnPong acknowledges, and keeps the login alive.
func (s *LoginSocket) OnPong(c *ws.Conn, p []byte) {
	s.Alive(c)
	if s.login != nil {
		s.Acknowledge(s.login.of.Owner(s.login.id), p)
	}
}

// OnClose takes the sessions out.
func (s *LoginSocket) OnClose(_ *ws.Turn, _ *ws.Conn, code uint16, reason string) {
	s.end(s.LoginID(), code, reason)
}
