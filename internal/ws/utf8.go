package ws

import "unicode/utf8"

// utf8Check validates UTF-8 that comes in pieces, and notices what is wrong at
// the byte that makes it wrong. The zero value is between two characters.
type utf8Check struct {
	need   byte // bytes of the character begun that are still to come
	lo, hi byte // what the next of them may be
}

// write tells whether p can go on what was written before.
func (u *utf8Check) write(p []byte) bool {
	for u.need > 0 && len(p) > 0 {
		if p[0] < u.lo || p[0] > u.hi {
			return false
		}
		u.need, u.lo, u.hi, p = u.need-1, 0x80, 0xbf, p[1:]
	}
	if len(p) == 0 {
		return true
	}
	cut := len(p)
	for i := 1; i <= 3 && i <= len(p); i++ { // a character begun in the last three bytes
		if c := p[len(p)-i]; utf8.RuneStart(c) {
			if runeLen(c) > i {
				cut = len(p) - i
			}
			break
		}
	}
	if !utf8.Valid(p[:cut]) {
		return false
	}
	if p = p[cut:]; len(p) == 0 {
		return true
	}
	u.begin(p[0])
	return u.write(p[1:])
}

// complete tells whether no character is left half.
func (u *utf8Check) complete() bool { return u.need == 0 }

func runeLen(c byte) int {
	switch {
	case c >= 0xc2 && c <= 0xdf:
		return 2
	case c >= 0xe0 && c <= 0xef:
		return 3
	case c >= 0xf0 && c <= 0xf4:
		return 4
	}
	return 1
}

// begin notes a first byte of several; the second has narrower bounds where
// it could make an overlong form, a surrogate or more than U+10FFFF.
func (u *utf8Check) begin(c byte) {
	u.need, u.lo, u.hi = byte(runeLen(c)-1), 0x80, 0xbf
	switch c {
	case 0xe0:
		u.lo = 0xa0
	case 0xed:
		u.hi = 0x9f
	case 0xf0:
		u.lo = 0x90
	case 0xf4:
		u.hi = 0x8f
	}
}
