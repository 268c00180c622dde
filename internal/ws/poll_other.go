//go:build !(linux && (amd64 || arm64))

package ws

import (
	"net"
	"syscall"

	"github.com/kabar-io/kabar/internal/remote"
)

// poller is not here: each connection is read by a goroutine of its own.
type poller struct{}

func (s *Server) polling() *poller                  { return nil }
func (s *Server) adopt(net.Conn, remote.Addr) *Conn { return nil }
func (*poller) listen(*front) (bool, error)         { return false, nil }
func (*poller) close()                              {}
func (*poller) gone()                               {}
func (*poller) check()                              {}

type polledFront struct{}

type lead struct{}

func (*lead) handOn() {}

// bound leaves it to the kernel how much it takes.
func bound(string, string, syscall.RawConn) error { return nil }
