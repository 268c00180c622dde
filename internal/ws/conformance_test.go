package ws

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// The cases of this file are numbered as in the Autobahn test suite, whose list
// they follow: sections 1 to 7, 9 and 10, against an echo server.

// step is something that the peer sends: a frame, or what becomes one.
type step struct {
	first   byte
	payload string
}

type wsCase struct {
	id    string
	send  []step
	chop  int    // octets of each write; 0 is a frame in one
	want  []step // frames of the server
	close uint16 // its Close frame at the end; 0: we close, with 1000
}

func textOf(s string) step { return step{fin | opText, s} }

func (c wsCase) run(t *testing.T, s *site) { //nolint:thelper // the test itself
	p := s.open()
	defer func() { _ = p.Close() }()
	all := make([]byte, 0, 1024)
	for _, f := range c.send {
		all = append(all, clientFrame(f.first, []byte(f.payload))...)
	}
	ended := make(chan struct{})
	defer func() { <-ended }()
	go func() {
		defer close(ended)
		chop := c.chop
		if chop == 0 {
			chop = max(len(all), 1)
		}
		for len(all) > 0 {
			n := min(chop, len(all))
			if _, err := p.Write(all[:n]); err != nil {
				return // closed early, as it should be
			}
			if all = all[n:]; c.chop > 0 && c.chop < 10 {
				time.Sleep(100 * time.Microsecond)
			}
		}
		if c.close == 0 {
			_, _ = p.Write(clientFrame(fin|opClose, []byte{3, 232}))
		}
	}()
	for _, f := range c.want {
		p.want(f.first, f.payload)
	}
	if c.close == 0 {
		p.wantClose(1000)
	} else {
		p.wantClose(c.close)
	}
}

func TestConformance(t *testing.T) {
	s := newSite(t, Options{}, with(&funcs{message: echo}, &Limits{MaxMessage: 16 << 20}))
	var cases []wsCase
	for _, more := range [][]wsCase{
		casesFraming(), casesPings(), casesReserved(), casesFragments(), casesUTF8(), casesClose(), casesLimits(),
	} {
		cases = append(cases, more...)
	}
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.id] {
			t.Fatalf("%s is there twice", c.id)
		}
		seen[c.id] = true
		t.Run(c.id, func(t *testing.T) {
			c.run(t, &site{Server: s.Server, tb: t, addr: s.addr})
		})
	}
	t.Logf("%d cases", len(cases))
}

func casesFraming() (cs []wsCase) {
	for k, first := range []byte{fin | opText, fin | opBinary} {
		for i, n := range []int{0, 125, 126, 127, 128, 65535, 65536, 65536} {
			p := repeat("*", n)
			if first == fin|opBinary {
				p = repeat("\xfe", n)
			}
			c := wsCase{id: fmt.Sprintf("1.%d.%d", k+1, i+1), send: []step{{first, p}}, want: []step{{first, p}}}
			if i == 7 {
				c.chop = 997
			}
			cs = append(cs, c)
		}
	}
	return cs
}

func casesPings() []wsCase {
	ping := func(p string) step { return step{fin | opPing, p} }
	pong := func(p string) step { return step{fin | opPong, p} }
	binary := "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
	var ten, tenBack []step
	for i := range 10 {
		ten = append(ten, ping(fmt.Sprintf("payload-%d", i)))
		tenBack = append(tenBack, pong(fmt.Sprintf("payload-%d", i)))
	}
	return []wsCase{
		{id: "2.1", send: []step{ping("")}, want: []step{pong("")}},
		{id: "2.2", send: []step{ping("Hello, world!")}, want: []step{pong("Hello, world!")}},
		{id: "2.3", send: []step{ping(binary)}, want: []step{pong(binary)}},
		{id: "2.4", send: []step{ping(repeat("\xfe", 125))}, want: []step{pong(repeat("\xfe", 125))}},
		{id: "2.5", send: []step{ping(repeat("\xfe", 126))}, close: 1002},
		{id: "2.6", send: []step{ping(repeat("\xfe", 125))}, chop: 1, want: []step{pong(repeat("\xfe", 125))}},
		{id: "2.7", send: []step{pong("")}},
		{id: "2.8", send: []step{pong("unsolicited pong payload")}},
		{id: "2.9", send: []step{pong("unsolicited pong payload"), ping("ping payload")}, want: []step{pong("ping payload")}},
		{id: "2.10", send: ten, want: tenBack},
		{id: "2.11", send: ten, chop: 1, want: tenBack},
	}
}

func casesReserved() (cs []wsCase) {
	hello := textOf("Hello, world!")
	ping := step{fin | opPing, ""}
	cs = []wsCase{
		{id: "3.1", send: []step{{fin | 0x10 | opText, "Hello, world!"}}, close: 1002},
		{id: "3.2", send: []step{hello, {fin | 0x20 | opText, "Hello, world!"}, ping}, want: []step{hello}, close: 1002},
		{id: "3.3", send: []step{hello, {fin | 0x30 | opText, "Hello, world!"}, ping}, chop: 20, want: []step{hello}, close: 1002},
		{id: "3.4", send: []step{hello, {fin | 0x40 | opText, "Hello, world!"}, ping}, chop: 1, want: []step{hello}, close: 1002},
		{id: "3.5", send: []step{{fin | 0x50 | opBinary, repeat("\xff", 8)}}, close: 1002},
		{id: "3.6", send: []step{{fin | 0x60 | opPing, "Hello, world!"}}, close: 1002},
		{id: "3.7", send: []step{{fin | 0x70 | opClose, ""}}, close: 1002},
	}
	for k, from := range []byte{3, 11} {
		for i := range byte(5) {
			bad := step{fin | (from + i), ""}
			c := wsCase{id: fmt.Sprintf("4.%d.%d", k+1, i+1), close: 1002}
			switch i {
			case 0:
				c.send = []step{bad}
			case 1:
				bad.payload = "reserved opcode payload"
				c.send = []step{bad}
			default:
				bad.payload = repeat("x", int(i-2)*10)
				c.send, c.want = []step{hello, bad, ping}, []step{hello}
				if i == 4 {
					c.chop = 1
				}
			}
			cs = append(cs, c)
		}
	}
	return cs
}

func casesFragments() []wsCase {
	const f1, f2, both = "fragment1", "fragment2", "fragment1fragment2"
	start, more, end := step{opText, f1}, step{opContinuation, f2}, step{fin | opContinuation, f2}
	ping, pong := step{fin | opPing, "ping payload"}, step{fin | opPong, "ping payload"}
	echoed := textOf(both)
	five := []step{{opText, f1}, {0, f2}, ping, {0, "fragment3"}, {0, "fragment4"}, ping, {fin, "fragment5"}}
	fiveBack := []step{pong, pong, textOf("fragment1fragment2fragment3fragment4fragment5")}
	return []wsCase{
		{id: "5.1", send: []step{{opPing, f1}, {fin, f2}}, close: 1002},
		{id: "5.2", send: []step{{opPong, f1}, {fin, f2}}, close: 1002},
		{id: "5.3", send: []step{start, end}, want: []step{echoed}},
		{id: "5.4", send: []step{start, end}, chop: 15, want: []step{echoed}},
		{id: "5.5", send: []step{start, end}, chop: 1, want: []step{echoed}},
		{id: "5.6", send: []step{start, ping, end}, want: []step{pong, echoed}},
		{id: "5.7", send: []step{start, ping, end}, chop: 15, want: []step{pong, echoed}},
		{id: "5.8", send: []step{start, ping, end}, chop: 1, want: []step{pong, echoed}},
		{id: "5.9", send: []step{{fin, "non-continuation payload"}, textOf("Hello, world!")}, close: 1002},
		{id: "5.10", send: []step{{fin, "non-continuation payload"}, textOf("Hello, world!")}, chop: 7, close: 1002},
		{id: "5.11", send: []step{{fin, "non-continuation payload"}, textOf("Hello, world!")}, chop: 1, close: 1002},
		{id: "5.12", send: []step{{0, "non-continuation payload"}, textOf("Hello, world!")}, close: 1002},
		{id: "5.13", send: []step{{0, "non-continuation payload"}, textOf("Hello, world!")}, chop: 7, close: 1002},
		{id: "5.14", send: []step{{0, "non-continuation payload"}, textOf("Hello, world!")}, chop: 1, close: 1002},
		{id: "5.15", send: []step{start, end, {0, "fragment3"}, {opText, "fragment4"}}, want: []step{echoed}, close: 1002},
		{id: "5.16", send: []step{{0, f1}, {opText, f2}, end}, close: 1002},
		{id: "5.17", send: []step{{fin, f1}, {opText, f2}, end}, close: 1002},
		{id: "5.18", send: []step{start, textOf(f2)}, close: 1002},
		{id: "5.18b", send: []step{start, more, {opBinary, ""}}, close: 1002},
		{id: "5.19", send: five, want: fiveBack},
		{id: "5.20", send: five, chop: 1, want: fiveBack},
	}
}

func casesUTF8() (cs []wsCase) {
	const kosme = "κόσμε"
	bad := kosme + "\xed\xa0\x80edited"
	cs = []wsCase{
		{id: "6.1.1", send: []step{textOf("")}, want: []step{textOf("")}},
		{id: "6.1.2", send: []step{{opText, ""}, {0, ""}, {fin, ""}}, want: []step{textOf("")}},
		{id: "6.1.3", send: []step{{opText, ""}, {0, "middle frame payload"}, {fin, ""}}, want: []step{textOf("middle frame payload")}},
		{id: "6.3.1", send: []step{textOf(bad)}, close: 1007},
		{id: "6.3.2", send: []step{{opText, bad[:1]}, {0, bad[1:13]}, {0, bad[13:14]}, {fin, bad[14:]}}, close: 1007},
		// Fail fast: what would make the message whole never comes.
		{id: "6.4.1", send: []step{{opText, kosme}, {0, "\xf4\x90\x80\x80"}}, close: 1007},
		{id: "6.4.2", send: []step{{opText, kosme + "\xf4"}, {0, "\x90"}}, close: 1007},
	}
	for i, s := range []string{"Hello-µ@ßöäüàá-UTF-8!!", "Hello-\U0001d11e", kosme, "\U00010000", "\U0010ffff", "\ufffd\ufffe\uffff"} {
		var octets []step
		for j := range len(s) {
			octets = append(octets, step{opContinuation, s[j : j+1]})
		}
		octets[0].first = opText
		octets[len(octets)-1].first |= fin
		cs = append(cs,
			wsCase{id: fmt.Sprintf("6.2.1-%d", i), send: []step{textOf(s)}, want: []step{textOf(s)}},
			wsCase{id: fmt.Sprintf("6.2.2-%d", i), send: []step{{opText, s[:3]}, {fin, s[3:]}}, want: []step{textOf(s)}},
			wsCase{id: fmt.Sprintf("6.2.3-%d", i), send: octets, want: []step{textOf(s)}},
			wsCase{id: fmt.Sprintf("6.2.4-%d", i), send: []step{textOf(s)}, chop: 1, want: []step{textOf(s)}},
		)
	}
	// 6.5 to 6.23: each text as one frame, and cut in two in the middle.
	texts := strings.Split(kosme, "")
	for i := range kosme { // 6.6: all that starts it
		texts = append(texts, kosme[:i], kosme[:i+1])
	}
	for _, r := range []rune{0, 0x7f, 0x80, 0x7ff, 0x800, 0xfff, 0xcfff, 0xd7ff, 0xe000, 0xfffd, 0xfffe, 0xffff, 0x10000, 0x1fffe, 0x3ffff, 0xfffff, 0x100000, 0x10fffe, 0x10ffff} {
		texts = append(texts, string(r), string(r)[:len(string(r))-1])
	}
	for _, lead := range []byte{0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xf8, 0xfc, 0xfe, 0xff} { // 6.9 to 6.14
		for _, n := range []int{0, 1, 2, 3, 4, 5} {
			texts = append(texts, string([]byte{lead})+repeat("\x80", n), string([]byte{lead})+repeat("\xbf", n), string([]byte{lead})+" ")
		}
	}
	texts = append(texts,
		"\x80", "\xbf", "\x80\xbf\x80", // 6.8: continuations alone
		"\xf4\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf7\xbf\xbf\xbf", // 6.7, 6.21
		"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", // 6.17, 6.18: overlong
		"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", // 6.19
		"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf", // 6.20: surrogates
		"\xed\xa0\x80\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf",
	)
	for i, s := range texts {
		one := wsCase{id: fmt.Sprintf("6.5-%d", i), send: []step{textOf(s)}}
		two := wsCase{id: fmt.Sprintf("6.5-%d-cut", i), send: []step{{opText, s[:len(s)/2]}, {fin | opPing, "x"}, {fin, s[len(s)/2:]}}}
		if utf8.ValidString(s) {
			one.want, two.want = []step{textOf(s)}, []step{{fin | opPong, "x"}, textOf(s)}
		} else {
			one.close, two.close = 1007, 1007
			if head := s[:len(s)/2]; validSoFar([]byte(head), false) {
				two.want = []step{{fin | opPong, "x"}}
			}
		}
		cs = append(cs, one, two)
	}
	return cs
}

func casesClose() (cs []wsCase) {
	hello := textOf("Hello World!")
	closing := func(code uint16, reason string) step {
		return step{fin | opClose, string([]byte{byte(code >> 8), byte(code)}) + reason}
	}
	big := repeat("*", 256<<10)
	cs = []wsCase{
		{id: "7.1.1", send: []step{hello, closing(1000, "")}, want: []step{hello}, close: 1000},
		{id: "7.1.2", send: []step{closing(1000, ""), closing(1000, "")}, close: 1000},
		{id: "7.1.3", send: []step{closing(1000, ""), {fin | opPing, ""}}, close: 1000},
		{id: "7.1.4", send: []step{closing(1000, ""), hello}, close: 1000},
		{id: "7.1.5", send: []step{{opText, "fragment1"}, closing(1000, ""), {fin, "fragment2"}}, close: 1000},
		{id: "7.1.6", send: []step{textOf(big), hello, closing(1000, ""), {fin | opPing, ""}}, want: []step{textOf(big), hello}, close: 1000},
		{id: "7.3.1", send: []step{{fin | opClose, ""}}, close: CodeNoStatus},
		{id: "7.3.2", send: []step{{fin | opClose, "a"}}, close: 1002},
		{id: "7.3.3", send: []step{closing(1000, "")}, close: 1000},
		{id: "7.3.4", send: []step{closing(1000, "Hello World!")}, close: 1000},
		{id: "7.3.5", send: []step{closing(1000, repeat("*", 123))}, close: 1000},
		{id: "7.3.6", send: []step{closing(1000, repeat("*", 124))}, close: 1002},
		{id: "7.5.1", send: []step{closing(1000, "\xce\xba\xed\xa0\x80")}, close: 1007},
	}
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		cs = append(cs, wsCase{id: fmt.Sprintf("7.7-%d", code), send: []step{closing(code, "")}, close: code})
	}
	for _, code := range []uint16{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		cs = append(cs, wsCase{id: fmt.Sprintf("7.9-%d", code), send: []step{closing(code, "")}, close: 1002})
	}
	return cs
}

func casesLimits() (cs []wsCase) {
	for k, first := range []byte{opText, opBinary} {
		for i, n := range []int{64 << 10, 256 << 10, 1 << 20, 4 << 20} {
			m := repeat("*", n)
			cs = append(cs, wsCase{id: fmt.Sprintf("9.%d.%d", k+1, i+1), send: []step{{fin | first, m}}, want: []step{{fin | first, m}}})
		}
		m := repeat("*", 1<<20)
		for i, size := range []int{64, 256, 4096, 65536} {
			cs = append(cs, wsCase{id: fmt.Sprintf("9.%d.%d", k+3, i+1), send: inFragments(first, m, size), want: []step{{fin | first, m}}})
		}
		for i, chop := range []int{64, 512, 2048} {
			cs = append(cs, wsCase{id: fmt.Sprintf("9.%d.%d", k+5, i+1), send: []step{{fin | first, m}}, chop: chop, want: []step{{fin | first, m}}})
		}
		for i, n := range []int{0, 16, 64, 256, 1024, 4096} {
			var all []step
			for range 1000 {
				all = append(all, step{fin | first, repeat("*", n)})
			}
			cs = append(cs, wsCase{id: fmt.Sprintf("9.%d.%d", k+7, i+1), send: all, want: all})
		}
	}
	m := repeat("*", 65536)
	return append(cs, wsCase{id: "10.1.1", send: inFragments(opText, m, 1300), want: []step{textOf(m)}})
}

func inFragments(first byte, m string, size int) (all []step) {
	for ; len(m) > size; m = m[size:] {
		all = append(all, step{first, m[:size]})
		first = opContinuation
	}
	return append(all, step{fin | first, m})
}

// Unmasked frames, and lengths that are longer than they need be, are no case of
// Autobahn's.
func TestUnmasked(t *testing.T) {
	s := newSite(t, Options{}, with(&funcs{message: echo}, nil))
	for _, raw := range []string{"\x81\x05Hello", "\x89\x00", "\x88\x02\x03\xe8", "\x81\xfe\x00\x05\x01\x02\x03\x04", "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"} {
		p := s.open()
		p.write([]byte(raw))
		p.wantClose(1002)
	}
}
