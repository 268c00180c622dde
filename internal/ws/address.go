package ws

import (
	"net"
	"net/netip"
)

// address is a peer's, host and port, without a string for each.
type address struct {
	ip   [16]byte
	port uint16
}

// addressOf is that of a TCP connection, and nothing for others.
func addressOf(a net.Addr) address {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return address{}
	}
	ap := tcp.AddrPort()
	return address{ap.Addr().As16(), ap.Port()}
}

func (a address) String() string {
	return netip.AddrPortFrom(netip.AddrFrom16(a.ip).Unmap(), a.port).String()
}
