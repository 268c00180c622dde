//go:build linux && (amd64 || arm64)

package ws

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/kabar-io/kabar/internal/remote"
)

// polledFront is what the poller knows of a listener.
type polledFront struct {
	raw     syscall.RawConn
	id      int32       // its number for the kernel, less than 0
	starved atomic.Bool // there were no descriptors the last time
	retry   atomic.Bool // a timer has accepting tried again
}

// closedAfter is when Listen notices that somebody else has closed the listener:
// an epoll set is not told.
const closedAfter = time.Second

// listen has the poller accept from f, until the server stops; false where it
// cannot.
func (p *poller) listen(f *front) (done bool, err error) {
	ln, ok := f.ln.(*net.TCPListener)
	if !ok {
		return false, nil
	}
	raw, err := ln.SyscallConn()
	if err != nil {
		return false, err
	}
	p.mu.Lock()
	p.fronts = append(p.fronts, f)
	f.polled = polledFront{raw: raw, id: -int32(len(p.fronts))}
	p.mu.Unlock()
	// What is accepted inherits this.
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		errno = p.control(syscall.EPOLL_CTL_ADD, int(fd), f.polled.id, syscall.EPOLLIN|edge)
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("epoll_ctl", errno)
	}
	t := time.NewTicker(closedAfter)
	defer t.Stop()
	for err == nil {
		select {
		case <-p.srv.quit:
			return true, nil
		case <-t.C:
			err = raw.Control(func(uintptr) {})
		}
	}
	return true, err
}

func (p *poller) frontOf(id int32) *front {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fronts[-1-id]
}

// accept takes some of the connections that wait, and asks for another event.
func (p *poller) accept(f *front) {
	again := true
	_ = f.polled.raw.Control(func(ln uintptr) {
		for range batchEvents {
			if again = p.acceptOne(f, ln); !again {
				return
			}
		}
		p.rearm(f, ln)
	})
}

func (p *poller) rearm(f *front, ln uintptr) {
	_ = p.control(syscall.EPOLL_CTL_MOD, int(ln), f.polled.id, syscall.EPOLLIN|edge)
}

// acceptOne accepts one connection; false where there is none, or none can be.
func (p *poller) acceptOne(f *front, ln uintptr) bool {
	var sa syscall.RawSockaddrAny
	size := uint32(unsafe.Sizeof(sa))
	fd, _, errno := syscall.RawSyscall6(syscall.SYS_ACCEPT4, ln, uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0) //nolint:gosec // the conversions stand in the call, as unsafe wants it
	switch errno {
	case 0:
	case syscall.EAGAIN, syscall.EINVAL, syscall.EBADF:
		return false
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
		if f.polled.starved.CompareAndSwap(false, true) {
			p.srv.opt.Log.Warn("ws: no more connections can be accepted for now, and those that are there go on; where it is for want of files, raise their limit (ulimit -n, LimitNOFILE)", "error", errno)
		}
		if !f.polled.retry.CompareAndSwap(false, true) { // or each that comes would have its own
			return false
		}
		time.AfterFunc(starvedFor, func() {
			f.polled.retry.Store(false)
			_ = f.polled.raw.Control(func(ln uintptr) { p.rearm(f, ln) })
		})
		return false
	default: // that one came to nothing
		return true
	}
	f.polled.starved.Store(false)
	c := &Conn{srv: p.srv, sock: p, fd: int32(fd), addr: addrOfRaw(&sa), lim: &noLimits, intake: intake{front: f}, flags: isNew | isWatched}
	c.turn.Store(isRead)
	if !p.srv.join(c) {
		p.srv.count.refused.Add(1)
		_ = syscall.Close(int(fd))
		return true
	}
	c.heard.Store(p.srv.now.Load())
	if p.control(syscall.EPOLL_CTL_ADD, int(fd), c.slot, readEvents) != 0 {
		p.srv.spoke(c)
		p.shut(c)
		return true
	}
	p.srv.watch(c)
	if !c.give() {
		p.takeUp(c)
	}
	return true
}

func addrOfRaw(sa *syscall.RawSockaddrAny) remote.Addr {
	switch sa.Addr.Family {
	case syscall.AF_INET:
		a := (*syscall.RawSockaddrInet4)(unsafe.Pointer(sa)) //nolint:gosec // its family says so
		return remote.From(netip.AddrPortFrom(netip.AddrFrom4(a.Addr), hostOrder(a.Port)))
	case syscall.AF_INET6:
		a := (*syscall.RawSockaddrInet6)(unsafe.Pointer(sa)) //nolint:gosec // its family says so
		return remote.From(netip.AddrPortFrom(netip.AddrFrom16(a.Addr), hostOrder(a.Port)))
	}
	return remote.Addr{}
}

// hostOrder is a port that lies in memory as on the wire.
func hostOrder(port uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], port)
	return binary.BigEndian.Uint16(b[:])
}

// handOver gives a connection away that is no WebSocket.
func (p *poller) handOver(c *Conn, head []byte) {
	p.srv.leave(c)
	fd := c.detach()
	_ = p.control(syscall.EPOLL_CTL_DEL, int(fd), 0, 0)
	file := os.NewFile(uintptr(fd), "tcp")
	nc, err := net.FileConn(file) // with a descriptor of its own
	_ = file.Close()
	if err != nil {
		p.srv.opt.Log.Warn("ws: a connection cannot be handed on", "error", err)
	} else {
		c.front.other(&handed{Conn: nc, early: head, from: net.TCPAddrFromAddrPort(c.addr.AddrPort())})
	}
	p.srv.gone()
}

// adopt makes a polled connection of one that somebody else accepted; nil where
// it cannot be one.
func (s *Server) adopt(nc net.Conn, from remote.Addr) *Conn {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	p := s.polling()
	if p == nil {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	fd := -1
	err = raw.Control(func(from uintptr) {
		n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, from, syscall.F_DUPFD_CLOEXEC, 0)
		if errno == 0 {
			fd = int(n)
		}
	})
	if err != nil || fd < 0 {
		return nil
	}
	c := &Conn{srv: s, sock: p, fd: int32(fd), addr: from, lim: &noLimits, back: new(backlog)}
	c.turn.Store(isRead)
	return c
}

// begin lets go of the connection's former self, whose descriptor is another.
func (p *poller) begin(c *Conn, nc net.Conn) {
	_ = nc.Close()
	if p.control(syscall.EPOLL_CTL_ADD, int(c.fd), c.slot, readEvents) != 0 {
		c.mu.Lock()
		c.kill()
		c.mu.Unlock()
	}
}

func (p *poller) abandon(c *Conn) { _ = syscall.Close(int(c.fd)) }
