package gateway

import (
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// LoginSocket is a Socket that rests on a login: what its peer sends keeps the
// login alive, and it ends with it. With a zero Login it rests on nobody's.
type LoginSocket struct {
	Socket
	Accounts *account.Service // static
	Login    account.Login    // owned by the reading side
}

// Alive says whether the login lives, and keeps it alive. Where it has ended,
// so does the connection, and what came on it is not carried out.
func (s *LoginSocket) Alive(c *ws.Conn) bool {
	if s.Login.ID == 0 {
		return true
	}
	s.Login = s.Accounts.Touch(s.Login)
	if time.Now().After(s.Login.Expires) {
		c.Close(status.Unauthenticated.Close(), account.ErrLoginEnded.Message)
		return false
	}
	return true
}

// OnPong acknowledges, and keeps the login alive.
func (s *LoginSocket) OnPong(c *ws.Conn, p []byte) {
	s.Alive(c)
	s.Socket.OnPong(c, p)
}
