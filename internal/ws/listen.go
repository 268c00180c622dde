package ws

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/kabar-io/kabar/internal/remote"
)

// maxHead is how long a request may be, in bytes, its headers with it.
const maxHead = 16 << 10

// front is a place where connections come in.
type front struct {
	ln     net.Listener
	accept Acceptor
	other  func(net.Conn)
	polled polledFront
}

// ListenTCP listens for TCP connections, for Listen. The kernel takes little of
// what a peer leaves unread (see bound): what it took would stand there once for
// each connection, while what waits here is shared. The socket is no Multipath
// TCP one, which net.Listen would make: what is accepted from that does not have
// the bound.
func ListenTCP(ctx context.Context, address string) (net.Listener, error) {
	l := net.ListenConfig{Control: bound}
	l.SetMultipathTCP(false)
	return l.Listen(ctx, "tcp", address)
}

// Listen accepts connections from ln until Shutdown, and closes it. Who asks for
// a WebSocket is answered here. A connection that begins with anything else goes
// to other, as if nobody had read from it; other must not block, and nil answers
// 426.
func (s *Server) Listen(ln net.Listener, accept Acceptor, other func(net.Conn)) error {
	defer func() { _ = ln.Close() }()
	f := &front{ln: ln, accept: accept, other: other}
	var p *poller
	if _, tcp := ln.(*net.TCPListener); tcp {
		p = s.polling()
	}
	if p != nil {
		switch done, err := p.listen(f); {
		case s.quits():
			return nil
		case done || err != nil:
			return err
		}
	}
	stopped := make(chan struct{})
	defer func() { <-stopped }()
	failed := make(chan struct{})
	defer close(failed)
	go func() {
		defer close(stopped)
		select {
		case <-s.quit:
		case <-failed:
		}
		_ = ln.Close()
	}()
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			s.admit(f, nc)
		case s.quits():
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default: // out of descriptors, mostly
			s.opt.Log.Warn("ws: cannot accept for now; where it is for want of files, raise their limit (ulimit -n, LimitNOFILE)", "error", err)
			select {
			case <-time.After(starvedFor):
			case <-s.quit:
			}
		}
	}
}

func (s *Server) quits() bool {
	select {
	case <-s.quit:
		return true
	default:
		return false
	}
}

// starvedFor is when accepting is tried again that failed for want of
// descriptors or memory.
const starvedFor = 50 * time.Millisecond

// admit reads a connection by a goroutine of its own.
func (s *Server) admit(f *front, nc net.Conn) {
	c := &Conn{srv: s, sock: newStream(nc), addr: remote.Of(nc.RemoteAddr()), lim: &noLimits, intake: intake{front: f}, flags: isNew | isWatched}
	c.heard.Store(s.clock())
	if !s.join(c) {
		s.count.refused.Add(1)
		_ = nc.Close()
		return
	}
	s.watch(c)
	c.sock.run(c)
}

// handed is a connection that turned out to be somebody else's, with what was
// read from it.
type handed struct {
	net.Conn
	early []byte
	from  net.Addr // whose it is; Conn does not know where the peer has gone meanwhile
}

// RemoteAddr is the peer's address, and never nil.
func (h *handed) RemoteAddr() net.Addr { return h.from }

func (h *handed) Read(p []byte) (int, error) {
	if len(h.early) == 0 {
		return h.Conn.Read(p)
	}
	n := copy(p, h.early)
	if h.early = h.early[n:]; len(h.early) == 0 {
		h.early = nil
	}
	return n, nil
}

// CloseWrite ends our side of the stream.
func (h *handed) CloseWrite() error {
	if half, ok := h.Conn.(halfCloser); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
