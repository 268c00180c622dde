//go:build linux && (amd64 || arm64)

package ws

import (
	"syscall"
	"unsafe"
)

// rawUpTo is how many bytes are moved without telling the scheduler. Such a call
// cannot be preempted, so it must be short; for a short one, telling costs more
// than a tenth of an echo.
const rawUpTo = 64 << 10

const (
	tcpNotSentLowat = 25 // of linux/tcp.h, which the syscall package lacks
	// unsentUpTo is how much of what is not on its way to the peer the kernel
	// takes for a connection. By itself it takes some megabytes.
	unsentUpTo = 128 << 10
)

// bound is the Control of a listener, from which what is accepted inherits it.
// A kernel that does not know it takes what it takes.
func bound(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, unsentUpTo)
	})
}

// sysRead reads once without waiting: EAGAIN where nothing is there.
func sysRead(fd uintptr, p []byte) (int, error) {
	return transfer(syscall.SYS_RECVFROM, fd, p, syscall.MSG_DONTWAIT)
}

// sysWrite writes once without waiting: EAGAIN where there is no room.
func sysWrite(fd uintptr, p []byte) (int, error) {
	return transfer(syscall.SYS_SENDTO, fd, p, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
}

func transfer(trap, fd uintptr, p []byte, flags uintptr) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		var n uintptr
		var errno syscall.Errno
		if len(p) <= rawUpTo {
			n, _, errno = syscall.RawSyscall6(trap, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), flags, 0, 0) //nolint:gosec // the conversion stands in the call, as unsafe wants it
		} else {
			n, _, errno = syscall.Syscall6(trap, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), flags, 0, 0) //nolint:gosec // the conversion stands in the call, as unsafe wants it
		}
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
			continue
		default:
			return 0, errno
		}
	}
}
