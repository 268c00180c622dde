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

func (a address) tcp() *net.TCPAddr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom16(a.ip).Unmap(), a.port))
}

// network is what a limit for one address counts as one: with IPv6 everybody has
// a network of 64 bits for themselves.
func (a address) network() [16]byte {
	if !netip.AddrFrom16(a.ip).Is4In6() {
		clear(a.ip[8:])
	}
	return a.ip
}
