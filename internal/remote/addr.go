// Package remote is where a connection comes from: the address of its peer, as
// it is carried from the accepted descriptor to whoever counts by it, and what
// of it counts as one. It is a leaf.
package remote

import (
	"net"
	"net/netip"
)

// Addr is a TCP peer's address and port, without a zone. It has 18 bytes, where
// a netip.AddrPort has 32 and a pointer: there is one in each connection. The
// zero Addr is that of a peer of which nothing is known.
type Addr struct {
	ip   [16]byte // IPv4 as ::ffff:a.b.c.d
	port uint16
}

// From makes an Addr. An invalid one becomes the zero Addr.
func From(a netip.AddrPort) Addr {
	if !a.IsValid() {
		return Addr{}
	}
	return Addr{a.Addr().As16(), a.Port()}
}

// Of is the Addr of a TCP address, and zero for any other.
func Of(a net.Addr) Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return From(tcp.AddrPort())
	}
	return Addr{}
}

// Parse reads host:port, as net/http has it of a request. What is none becomes
// the zero Addr.
func Parse(text string) Addr {
	a, _ := netip.ParseAddrPort(text) // invalid where it fails
	return From(a)
}

// IsZero says that nothing is known.
func (a Addr) IsZero() bool { return a == Addr{} }

// AddrPort is the Addr as others know it.
func (a Addr) AddrPort() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a.ip).Unmap(), a.port)
}

// String is host:port, for people; "" of the zero Addr.
func (a Addr) String() string {
	if a.IsZero() {
		return ""
	}
	return a.AddrPort().String()
}

// Network is what a limit for one address counts as one.
type Network [16]byte

// Network is all of an IPv4 address, and of IPv6 the 64 bits that one customer
// gets, since the rest is theirs to choose.
func (a Addr) Network() Network {
	if !netip.AddrFrom16(a.ip).Is4In6() {
		clear(a.ip[8:])
	}
	return a.ip
}
