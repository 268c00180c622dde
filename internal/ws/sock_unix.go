//go:build unix && !(linux && (amd64 || arm64))

package ws

import "syscall"

// sysRead reads once from a non-blocking socket: EAGAIN where nothing is there.
func sysRead(fd uintptr, p []byte) (int, error) {
	return again(syscall.Read, fd, p)
}

// sysWrite writes once to a non-blocking socket: EAGAIN where there is no room.
func sysWrite(fd uintptr, p []byte) (int, error) {
	return again(syscall.Write, fd, p)
}

func again(call func(int, []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		n, err := call(int(fd), p)
		if err != syscall.EINTR { //nolint:errorlint // it comes right from the kernel
			return max(n, 0), err
		}
	}
}
