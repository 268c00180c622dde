//go:build unix

package ws

import (
	"net"
	"syscall"
)

// rawConn is the descriptor behind a plain socket. The types are named, since a
// wrapper that changes Read or Write may well have a SyscallConn too.
func rawConn(nc net.Conn) syscall.RawConn {
	var raw syscall.RawConn
	var err error
	switch nc := nc.(type) {
	case *net.TCPConn:
		raw, err = nc.SyscallConn()
	case *net.UnixConn:
		raw, err = nc.SyscallConn()
	}
	if err != nil {
		return nil
	}
	return raw
}
