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
