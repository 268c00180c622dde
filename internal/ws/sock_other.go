//go:build !unix

package ws

import (
	"net"
	"syscall"
)

// rawConn gives no raw access: each connection is a plain stream here.
func rawConn(net.Conn) syscall.RawConn { return nil }

func sysRead(uintptr, []byte) (int, error)  { return 0, syscall.EINVAL }
func sysWrite(uintptr, []byte) (int, error) { return 0, syscall.EINVAL }
