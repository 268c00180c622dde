package mail

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// line is the one connection of a Send. It is kept here because the client
// leaves it open where the server's first words are not what it wants.
type line struct {
	s *SMTP // static

	mu     sync.Mutex
	conn   net.Conn // guarded by mu
	closed bool     // guarded by mu
}

func (l *line) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var c net.Conn
	var err error
	if l.s.o.TLS == "tls" {
		c, err = (&tls.Dialer{Config: l.s.tls()}).DialContext(ctx, network, address)
	} else {
		c, err = (&net.Dialer{}).DialContext(ctx, network, address)
	}
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	l.conn = c
	return c, nil
}

func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.conn != nil {
		_ = l.conn.Close()
	}
}
