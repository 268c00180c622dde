package remote_test

import (
	"net"
	"net/netip"
	"testing"
	"unsafe"

	"github.com/kabar-io/kabar/internal/remote"
)

func TestAddr(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1:5050":          "192.0.2.1:5050",
		"[::ffff:192.0.2.1]:5050": "192.0.2.1:5050",
		"[2001:db8::1]:443":       "[2001:db8::1]:443",
		"[fe80::1%eth0]:1":        "[fe80::1]:1",
		"[::1]:1":                 "[::1]:1",
		"0.0.0.0:0":               "0.0.0.0:0",
		"":                        "",
		"@":                       "",
		"192.0.2.1":               "",
		"localhost:80":            "",
	} {
		a := remote.Parse(text)
		if a.String() != want || a.IsZero() != (want == "") {
			t.Errorf("%q is %q, zero: %v", text, a, a.IsZero())
		}
		if want != "" && (remote.From(a.AddrPort()) != a || remote.Of(net.TCPAddrFromAddrPort(a.AddrPort())) != a) {
			t.Errorf("%q does not come back from %v", text, a.AddrPort())
		}
	}
	for _, a := range []net.Addr{nil, (*net.TCPAddr)(nil), &net.TCPAddr{}, &net.UnixAddr{Name: "/s", Net: "unix"}} {
		if got := remote.Of(a); !got.IsZero() {
			t.Errorf("%v is %v", a, got)
		}
	}
	if a := remote.From(netip.AddrPort{}); !a.IsZero() {
		t.Error(a)
	}
	if n := unsafe.Sizeof(remote.Addr{}); n != 18 {
		t.Errorf("%d bytes", n)
	}
}

func TestNetwork(t *testing.T) {
	for _, c := range []struct {
		a, b string
		one  bool
	}{
		{"192.0.2.1:1", "192.0.2.1:2", true},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:2", true},
		{"192.0.2.1:1", "192.0.2.2:1", false},
		{"[2001:db8::1]:1", "[2001:db8::ffff:0:0:2]:2", true},
		{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
		{"[fe80::1%eth0]:1", "[fe80::2]:1", true},
		{"[::1]:1", "192.0.2.1:1", false},
	} {
		if a, b := remote.Parse(c.a).Network(), remote.Parse(c.b).Network(); (a == b) != c.one {
			t.Errorf("%s and %s are %v and %v", c.a, c.b, a, b)
		}
	}
}
