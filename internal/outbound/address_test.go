package outbound

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/kabar-io/kabar/internal/webhook"
)

var forbidden = []string{
	"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.0.1",
	"169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1",
	"198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "168.63.129.16",
	"::", "::1", "::2", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "fe80::1", "febf::1", "fec0::1",
	"fc00::1", "fd00:ec2::254", "ff02::1", "ff0e::1", "100::1", "2001::1", "2001:2::1", "2001:db8::1", "3fff::1", "5f00::1",
	"64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::1", "2002:a9fe:a9fe::1", "4000::1",
}

var public = []string{
	"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.255.255.255", "128.0.0.1", "169.253.255.255",
	"172.15.255.255", "172.32.0.1", "192.167.255.255", "192.169.0.1", "223.255.255.255", "2606:4700::1111", "2a00::1",
	"::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
}

func TestAllowed(t *testing.T) {
	for _, text := range forbidden {
		if allowed(netip.MustParseAddr(text), nil) {
			t.Errorf("%s may be called", text)
		}
	}
	for _, text := range public {
		if !allowed(netip.MustParseAddr(text), nil) {
			t.Errorf("%s may not be called", text)
		}
	}
	if allowed(netip.Addr{}, nil) || allowed(netip.MustParseAddr("fe80::1%eth0"), nil) || allowed(netip.MustParseAddr("2a00::1%eth0"), nil) {
		t.Error("what is no address of the world may be called")
	}
	own := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/64")}
	for text, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "64:ff9b::a01:203": true, "10.2.0.1": false, "fd00::7": true, "fd00:0:0:1::7": false, "127.0.0.1": false,
	} {
		if allowed(netip.MustParseAddr(text), own) != want {
			t.Errorf("with %v, %s: %t", own, text, !want)
		}
	}
}

func TestHostAddr(t *testing.T) {
	for host, want := range map[string]string{
		"127.0.0.1": "127.0.0.1", "2130706433": "127.0.0.1", "0x7f000001": "127.0.0.1", "0X7F.1": "127.0.0.1", "017700000001": "127.0.0.1",
		"0177.0.0.1": "127.0.0.1", "127.1": "127.0.0.1", "127.0.1": "127.0.0.1", "127.0.0.1.": "127.0.0.1", "0": "0.0.0.0", "8.8.8.8": "8.8.8.8",
		"::1": "::1", "::ffff:127.0.0.1": "::ffff:127.0.0.1", "134744072": "8.8.8.8",
		// Ends like an address, and is none: nobody's.
		"256.1.1.1": "", "1.1.1.256": "", "1.2.3.4.5": "", "4294967296": "", "1.16777216": "", "08.0.0.1": "", "a.1": "", "a.0x1": "", "1..1": "", "1_0.1": "",
	} {
		a, literal := hostAddr(host)
		if !literal || want == "" && a.IsValid() || want != "" && a != netip.MustParseAddr(want) {
			t.Errorf("%s is %v, %t; want %s", host, a, literal, want)
		}
		if a == (netip.Addr{}) && allowed(a, nil) {
			t.Errorf("%s may be called", host)
		}
	}
	for _, host := range []string{"example.com", "1.example", "localhost", "beef", "127.0.0.1.example.com", "a-1", "0b1", "1.2.3.4.5.example", "xn--11b"} {
		if a, literal := hostAddr(host); literal {
			t.Errorf("%s is the address %v", host, a)
		}
	}
}

// TestNamesThatLeadInwards tries names, whatever they resolve to when they are
// looked at, and when they are dialled.
func TestNamesThatLeadInwards(t *testing.T) {
	answers := map[string][]string{
		"inner.test": {"10.0.0.1"}, "mapped.test": {"::ffff:127.0.0.1"}, "both.test": {"8.8.8.8", "127.0.0.1"}, "meta.test": {"169.254.169.254"},
		"six.test": {"::1"}, "nat.test": {"64:ff9b::7f00:1"}, "none.test": {},
	}
	c := New(Options{Lookup: func(_ context.Context, host string) (list []netip.Addr, err error) {
		for _, text := range answers[host] {
			list = append(list, netip.MustParseAddr(text))
		}
		return list, nil
	}})
	defer c.Close()
	for _, host := range []string{
		"inner.test", "mapped.test", "both.test", "meta.test", "six.test", "nat.test",
		"127.0.0.1", "2130706433", "0177.0.0.1", "0x7f.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fe80::1%25lo]", "[::]", "0", "0.0.0.0",
		"①②⑦.⓪.⓪.①", "１２７.0.0.1", "127。0。0。1",
	} {
		for _, scheme := range []string{"http://", "https://"} {
			if _, err := c.Post(t.Context(), webhook.Request{URL: scheme + host + ":9/x"}); !errors.Is(err, ErrForbidden) {
				t.Errorf("%s%s: %v", scheme, host, err)
			}
		}
	}
	if _, err := c.Post(t.Context(), webhook.Request{URL: "http://none.test/"}); !errors.Is(err, errNoName) {
		t.Errorf("a name of nothing: %v", err)
	}
	for _, to := range []string{"", "ftp://8.8.8.8/", "http://", "http:///x", "//8.8.8.8", "http://a@8.8.8.8/", "http://a:b@8.8.8.8/", "file:///etc/passwd", "http://8.8.8.8:port/", "\x00"} {
		if _, err := c.Post(t.Context(), webhook.Request{URL: to}); !errors.Is(err, errURL) {
			t.Errorf("%q: %v", to, err)
		}
	}
	// What was looked at is not what is dialled: the guard at the socket holds alone.
	for _, address := range []string{"127.0.0.1:80", "[::1]:80", "[::ffff:10.0.0.1]:80", "169.254.169.254:80", "nonsense"} {
		if err := c.control(t.Context(), "tcp", address, nil); !errors.Is(err, ErrForbidden) {
			t.Errorf("dialling %s: %v", address, err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := c.dialer().DialContext(t.Context(), "tcp", l.Addr().String()); !errors.Is(err, ErrForbidden) {
		t.Errorf("dialling %v: %v", l.Addr(), err)
	}
	if err := c.control(t.Context(), "tcp", "8.8.8.8:443", nil); err != nil {
		t.Errorf("dialling 8.8.8.8: %v", err)
	}
}
