package ws

import (
	"net"
	"time"
)

// deaf is a net.Conn on which nothing happens.
type deaf struct{ net.Conn }

func (*deaf) SetDeadline(time.Time) error     { return nil }
func (*deaf) SetReadDeadline(time.Time) error { return nil }
func (*deaf) Close() error                    { return nil }
