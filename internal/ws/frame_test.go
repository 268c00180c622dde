package ws

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"unicode/utf8"
)

func TestParseHeader(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   string
		h    header
		n    int
		ok   bool
	}{
		{"empty", "", header{}, 0, true},
		{"half", "\x81", header{fin: true, op: 1}, 0, true},
		{"masked", "\x81\x85\x01\x02\x03\x04rest", header{fin: true, op: 1, masked: true, key: 0x04030201, length: 5}, 6, true},
		{"unmasked", "\x02\x7d", header{op: 2, length: 125}, 2, true},
		{"16 bit", "\x82\x7e\x00\x7e", header{fin: true, op: 2, length: 126}, 4, true},
		{"16 bit, cut", "\x82\x7e\x00", header{fin: true, op: 2, length: 126}, 0, true},
		{"16 bit, not minimal", "\x82\x7e\x00\x7d", header{}, 0, false},
		{"64 bit", "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", header{fin: true, op: 2, length: 1 << 16}, 10, true},
		{"64 bit, cut in the key", "\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00\x01\x02\x03", header{fin: true, op: 2, masked: true, length: 1 << 16}, 0, true},
		{"64 bit, not minimal", "\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", header{}, 0, false},
		{"64 bit, the most", "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", header{fin: true, op: 2, length: 1<<63 - 1}, 10, true},
		{"64 bit, top bit", "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", header{}, 0, false},
		{"rsv1", "\xc1", header{}, 0, false},
		{"rsv2", "\xa1", header{}, 0, false},
		{"rsv3", "\x91", header{}, 0, false},
		{"rsv1 on a control frame", "\xc9\x80", header{}, 0, false},
		{"opcode 3", "\x83", header{}, 0, false},
		{"opcode 7", "\x87", header{}, 0, false},
		{"opcode 11", "\x8b", header{}, 0, false},
		{"opcode 15", "\x8f", header{}, 0, false},
		{"fragmented ping", "\x09", header{}, 0, false},
		{"fragmented close", "\x08", header{}, 0, false},
		{"long ping", "\x89\x7e", header{}, 0, false},
		{"very long pong", "\x8a\xff", header{}, 0, false},
		{"longest ping", "\x89\x7d", header{fin: true, op: 9, length: 125}, 2, true},
	} {
		h, n, ok := parseHeader([]byte(tt.in))
		if ok != tt.ok || n != tt.n || ok && h != tt.h {
			t.Errorf("%s: %+v %d %v", tt.name, h, n, ok)
		}
	}
}

func TestFollows(t *testing.T) {
	for _, tt := range []struct {
		op     byte
		masked bool
		in     bool
		want   bool
	}{
		{opText, true, false, true},
		{opText, false, false, false},
		{opText, true, true, false},
		{opBinary, true, true, false},
		{opContinuation, true, true, true},
		{opContinuation, true, false, false},
		{opPing, true, true, true},
		{opPing, true, false, true},
		{opPing, false, true, false},
		{opClose, true, true, true},
	} {
		h := header{op: tt.op, masked: tt.masked, fin: true}
		if got := h.follows(tt.in); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

func TestAppendFrame(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20} {
		p := pattern(n)
		b := AppendFrame([]byte("x"), opBinary, p)[1:]
		h, size, ok := parseHeader(b)
		if !ok || !h.fin || h.masked || h.op != opBinary || h.length != uint64(n) || !bytes.Equal(b[size:], p) {
			t.Errorf("%d: %+v %d %v", n, h, size, ok)
		}
		if frameLen(append(b, "more"...)) != len(b) {
			t.Errorf("%d: frameLen %d", n, frameLen(b))
		}
	}
	if got := string(AppendText(nil, []byte("Hello"))); got != "\x81\x05Hello" { // RFC 6455, section 5.7
		t.Errorf("%q", got)
	}
	if got := string(AppendBinary(nil, []byte{1})); got != "\x82\x01\x01" {
		t.Errorf("%q", got)
	}
	if got := string(clientFrame(0x81, []byte("Hello"))); got != "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58" {
		t.Errorf("% x", got)
	}
}

func TestMask(t *testing.T) {
	key := []byte{1, 0x80, 0xff, 7}
	for n := range 100 {
		want := make([]byte, n)
		for i := range want {
			want[i] = byte(i) ^ key[i%4]
		}
		for cut := 0; cut <= n; cut++ {
			got := make([]byte, n)
			for i := range got {
				got[i] = byte(i)
			}
			k := mask(got[:cut], binary.LittleEndian.Uint32(key))
			mask(got[cut:], k)
			if !bytes.Equal(got, want) {
				t.Fatalf("%d bytes, cut at %d", n, cut)
			}
		}
	}
}

func TestUTF8(t *testing.T) {
	texts := []string{
		"", "a", "κόσμε", "\x00", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff", "aä€𝄞z",
		"\x80", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\xaf", "\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe", "\xff", "\xc3", "\xe2\x82", "\xf0\x9d\x84", "ab\xc3(", "\xe2(\xa1", "\xf0\x9d(\xbc", "\xc3\xc3\xa4",
	}
	for _, s := range texts {
		for i := 0; i <= len(s); i++ {
			for j := i; j <= len(s); j++ {
				var u utf8Check
				got := u.write([]byte(s[:i])) && u.write([]byte(s[i:j])) && u.write([]byte(s[j:])) && u.complete()
				if got != utf8.ValidString(s) {
					t.Errorf("%q cut at %d and %d: %v", s, i, j, got)
				}
			}
		}
	}
}

// What is wrong is noticed at its first byte.
func TestUTF8FailsFast(t *testing.T) {
	for _, s := range []string{"a\x80", "\xed\xa0", "\xf4\x90", "\xe0\x9f", "\xf0\x8f", "\xc0", "\xf5", "\xe2\x82a", "\xf0\x9d\x84\xc3"} {
		var u utf8Check
		for i := range len(s) {
			if got := u.write([]byte{s[i]}); got != (i < len(s)-1) {
				t.Errorf("%q: %v at %d", s, got, i)
				break
			}
		}
		u = utf8Check{}
		if u.write([]byte(s)) {
			t.Errorf("%q at once", s)
		}
	}
}

func TestCloseFrames(t *testing.T) {
	for code := range 6000 {
		c := uint16(code)
		want := c >= 1000 && c <= 1003 || c >= 1007 && c <= 1014 || c >= 3000 && c < 5000
		if ValidCloseCode(c) != want {
			t.Errorf("%d: %v", c, !want)
		}
	}
	for _, tt := range []struct {
		in        string
		code      uint16
		reason    string
		violation uint16
	}{
		{"", 1005, "", 0},
		{"\x03", 0, "", 1002},
		{"\x03\xe8", 1000, "", 0},
		{"\x03\xe8bye", 1000, "bye", 0},
		{"\x03\xed", 0, "", 1002},
		{"\x00\x00", 0, "", 1002},
		{"\xff\xff", 0, "", 1002},
		{"\x03\xe8\xff", 0, "", 1007},
	} {
		code, reason, violation := parseClose([]byte(tt.in))
		if code != tt.code || reason != tt.reason || violation != tt.violation {
			t.Errorf("%q: %d %q %d", tt.in, code, reason, violation)
		}
	}
	for _, tt := range []struct {
		code   uint16
		reason string
		want   string
	}{
		{1000, "bye", "\x88\x05\x03\xe8bye"},
		{1005, "bye", "\x88\x00"},
		{1006, "", "\x88\x00"},
		{4008, repeat("é", 100), "\x88\x7c\x0f\xa8" + repeat("é", 61)},
		{1000, "\xff", "\x88\x02\x03\xe8"},
	} {
		if got := string(AppendClose(nil, tt.code, tt.reason)); got != tt.want {
			t.Errorf("%d %q: %q", tt.code, tt.reason, got)
		}
	}
}

func TestBacklogKeepsFrames(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var all []byte
		var ends []int
		more := func() []byte {
			f := AppendFrame(nil, opBinary, pattern(rng.IntN(200)))
			all = append(all, f...)
			ends = append(ends, len(all))
			return f
		}
		first := more()
		cut := rng.IntN(len(first))
		as := func(p []byte) func() []byte { // one that is shared, or none
			if rng.IntN(2) == 0 {
				return nil
			}
			return func() []byte { return p }
		}
		b := begun(first, as(first), cut)
		sent := cut
		for range rng.IntN(60) {
			if rng.IntN(3) > 0 {
				f := more()
				b.add(f, as(f))
			} else if w := b.waiting(); w > 1 {
				most := 1 + rng.IntN(500)
				if p := b.next(most, make([]byte, 0, rng.IntN(600))); len(p) == 0 || len(p) > most || !bytes.HasPrefix(all[sent:], p) {
					t.Fatalf("next at %d is %d bytes of at most %d, or wrong", sent, len(p), most)
				}
				n := 1 + rng.IntN(w-1)
				b.sent(n)
				sent += n
			}
		}
		if w := b.waiting(); w > 0 {
			b.busy = rng.IntN(w)
		}
		if !bytes.Equal(b.appendTo(nil)[b.off:], all[sent:]) || b.waiting() != len(all)-sent {
			t.Fatal("what waits is not what was added")
		}
		b.cut()
		rest := b.appendTo(nil)
		edge := sent + len(rest)
		want := 0
		for _, e := range append([]int{0}, ends...) {
			if e >= sent+b.busy {
				want = e
				break
			}
		}
		if edge != want || b.waiting() != len(rest) || !bytes.Equal(rest, all[sent:edge]) {
			t.Fatalf("cut at %d, want %d (sent %d, busy %d)", edge, want, sent, b.busy)
		}
	}
}

// A Conn to feed by hand: its socket takes nothing and its server does not run.
func fed(h Handler, l *Limits) (*Conn, *deaf) {
	nc := &deaf{}
	return &Conn{srv: New(Options{Log: quietLog}), sock: &stream{nc: nc}, h: h, lim: l, back: &backlog{due: 1 << 62}, flags: isOpen | isWatched}, nc
}

type event struct {
	op byte
	p  string
}

// feedAll feeds the stream in pieces of these lengths and tells what came of it.
func feedAll(stream []byte, l *Limits, pieces func() int) (events []event, code uint16, reason string) {
	h := &funcs{
		message: func(_ *Turn, _ *Conn, k Kind, p []byte) { events = append(events, event{byte(k), string(p)}) },
		pong:    func(_ *Conn, p []byte) { events = append(events, event{opPong, string(p)}) },
	}
	c, _ := fed(h, l)
	t := takeTurn(c)
	defer t.release()
	for b := bytes.Clone(stream); len(b) > 0 && !c.over.Load(); {
		n := min(pieces(), len(b))
		c.feed(t, b[:n])
		b = b[n:]
	}
	if c.end != nil {
		return events, c.end.code, c.end.reason
	}
	return events, 0, ""
}

// reference is the slowest and simplest reading of RFC 6455 there is: it wants
// the whole stream and looks at one frame after another.
func reference(b []byte, limit int) (events []event, code uint16) {
	var message []byte
	var kind byte
	for len(b) >= 2 {
		fin, rsv, op := b[0]>>7, b[0]>>4&7, b[0]&15
		masked, n := b[1]>>7, uint64(b[1]&127)
		if rsv != 0 || op > 2 && op < 8 || op > 10 || op > 7 && (fin == 0 || n > 125) {
			return events, 1002
		}
		at := 2
		switch {
		case n == 126 && len(b) >= 4:
			n, at = uint64(b[2])<<8|uint64(b[3]), 4
			if n < 126 {
				return events, 1002
			}
		case n == 127 && len(b) >= 10:
			n, at = 0, 10
			for _, c := range b[2:10] {
				n = n<<8 | uint64(c)
			}
			if n < 65536 || n > 1<<63-1 {
				return events, 1002
			}
		case n >= 126:
			return events, 0
		}
		if masked == 1 && len(b) < at+4 {
			return events, 0
		}
		if masked == 0 || op < 8 && (op == 0) != (kind != 0) {
			return events, 1002
		}
		if op < 8 && n+uint64(len(message)) > uint64(limit) {
			return events, 1009
		}
		key := b[at : at+4]
		b = b[at+4:]
		whole := uint64(len(b)) >= n
		p := bytes.Clone(b[:min(n, uint64(len(b)))])
		for i := range p {
			p[i] ^= key[i%4]
		}
		b = b[len(p):]
		if op < 8 {
			message = append(message, p...)
			if op != 0 {
				kind = op
			}
			if kind == 1 && !validSoFar(message, whole && fin == 1) {
				return events, 1007
			}
		}
		if !whole {
			return events, 0
		}
		switch {
		case op == 8:
			code, _, violation := parseClose(p)
			if violation != 0 {
				return events, violation
			}
			return events, code
		case op == 10:
			events = append(events, event{op, string(p)})
		case op < 8 && fin == 1:
			events = append(events, event{kind, string(message)})
			message, kind = nil, 0
		}
	}
	if len(b) == 1 {
		if b[0]&0x70 != 0 || b[0]&15 > 2 && b[0]&15 < 8 || b[0]&15 > 10 || b[0]&15 > 7 && b[0] < 128 {
			return events, 1002
		}
	}
	return events, 0
}

func validSoFar(p []byte, all bool) bool {
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		if r == utf8.RuneError && n == 1 {
			return !all && len(p) < 4 && !utf8.FullRune(p)
		}
		p = p[n:]
	}
	return true
}

func FuzzFrames(f *testing.F) {
	add := func(b ...[]byte) { f.Add(bytes.Join(b, nil), uint64(7)) }
	add(clientFrame(0x81, []byte("hello")), clientFrame(0x89, []byte("ping")), clientFrame(0x88, []byte("\x03\xe8bye")))
	add(clientFrame(0x01, []byte("he\xc3")), clientFrame(0x8a, []byte("pong")), clientFrame(0x00, nil), clientFrame(0x80, []byte("\xa4")))
	add(clientFrame(0x82, pattern(130)), clientFrame(0x82, pattern(1030)))
	add(clientFrame(0x81, []byte("\xed\xa0\x80")))
	add([]byte("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04"))
	add([]byte("\x82\xff\x00\x00\x00\x10\x00\x00\x00\x00\x01\x02\x03\x04"))
	add(clientFrame(0x88, []byte("\x03\xed")), clientFrame(0x88, nil))
	const limit = 1000
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		if len(stream) > 1<<16 {
			return
		}
		events, code := reference(stream, limit)
		rng := rand.New(rand.NewPCG(seed, 1))
		for name, pieces := range map[string]func() int{
			"at once":      func() int { return len(stream) },
			"byte by byte": func() int { return 1 },
			"in pieces":    func() int { return 1 + rng.IntN(20) },
		} {
			got, gotCode, _ := feedAll(stream, &Limits{MaxMessage: limit}, pieces)
			if fmt.Sprint(got) != fmt.Sprint(events) || gotCode != code {
				t.Errorf("%s: %q %d, want %q %d", name, got, gotCode, events, code)
			}
		}
	})
}
