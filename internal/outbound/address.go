package outbound

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
)

// special are the ranges that the world does not reach, or that mean this
// network, this machine or many at once (the registries of IANA), and what
// clouds put at a public address for the machines in them.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
	"168.63.129.16/32",
	"2001::/23", "2001:db8::/32", "3fff::/20",
)

// The only IPv6 addresses that are anybody's, and those that hold an IPv4 one.
var (
	global6 = netip.MustParsePrefix("2000::/3")
	sixTo4  = netip.MustParsePrefix("2002::/16")
	nat64   = netip.MustParsePrefix("64:ff9b::/96")
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		list[i] = netip.MustParsePrefix(t)
	}
	return list
}

// allowed says whether an address may be called.
func allowed(a netip.Addr, allow []netip.Prefix) bool {
	if a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	for _, p := range allow {
		if p.Contains(a) {
			return true
		}
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	switch b := a.As16(); {
	case a.Is4():
		return true
	case nat64.Contains(a):
		return allowed(netip.AddrFrom4([4]byte(b[12:])), allow)
	case sixTo4.Contains(a):
		return allowed(netip.AddrFrom4([4]byte(b[2:6])), allow)
	}
	return a.IsValid() && global6.Contains(a)
}

// hostAddr is the address that a host of a URL is, in any of the forms that one
// may be written in: 2130706433, 0x7f.1 and 0177.0.0.1 are 127.0.0.1 to some of
// those who resolve names. ok is false for a name.
func hostAddr(host string) (a netip.Addr, ok bool) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a, true
	}
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	if len(parts) > 4 {
		return netip.Addr{}, numeric(parts[len(parts)-1])
	}
	var sum uint64
	for i, p := range parts {
		n, err := strconv.ParseUint(octal(p), 0, 32)
		if err != nil {
			return netip.Addr{}, numeric(parts[len(parts)-1]) // ends like an address, and is none
		}
		if i < len(parts)-1 {
			if n > 255 {
				return netip.Addr{}, true
			}
			sum |= n << (8 * (3 - i))
			continue
		}
		if n >= 1<<(8*(5-len(parts))) {
			return netip.Addr{}, true
		}
		sum |= n
	}
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(sum)))), true
}

// octal lets 010 be 8, as it is to those who read such addresses.
func octal(p string) string {
	if strings.ContainsAny(p, "_oObB") && !strings.HasPrefix(strings.ToLower(p), "0x") || strings.Contains(p, "_") {
		return "" // Go's own ways to write numbers, and no address's
	}
	return p
}

// numeric says whether the last part of a host is a number: no name's is.
func numeric(p string) bool {
	if p == "" {
		return false
	}
	digits := strings.Trim(p, "0123456789") == ""
	return digits || strings.HasPrefix(strings.ToLower(p), "0x") && strings.Trim(strings.ToLower(p[2:]), "0123456789abcdef") == ""
}
