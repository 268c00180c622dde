package direct

import (
	"strings"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/gateway"
)

// quick reads a MESSAGE frame as programs write it: nothing but the members that
// it may have, each at most once, strings without escapes. It takes a tenth of
// decode's time, and leaves everything else to decode, which finds the same in
// what quick understands.
func quick(p []byte, limit int) (m message, ok bool) {
	if !utf8.Valid(p) {
		return m, false
	}
	s := scanner{rest: string(p)}
	var has struct{ kind, ref, data, to, text bool }
	s.object(func(name string) bool {
		switch name {
		case "type":
			return once(&has.kind) && s.number() == typeMessage && s.fits
		case "ref":
			m.ref = s.text()
			return once(&has.ref) && m.ref != "" && len(m.ref) <= gateway.MaxRef
		case "data":
			return once(&has.data) && s.object(func(name string) bool {
				switch name {
				case "to":
					m.to = s.number()
					return once(&has.to) && m.to < maxNumber
				case "message":
					m.text = s.text()
					return once(&has.text) && len(m.text) <= limit
				}
				return false
			})
		}
		return false
	})
	s.blanks()
	return m, s.fits && s.rest == "" && has.to && has.text
}

func once(seen *bool) bool {
	first := !*seen
	*seen = true
	return first
}

// scanner reads simple JSON. What does not fit ends it.
type scanner struct {
	rest string
	fits bool // what was read last fitted
}

func (s *scanner) blanks() { s.rest = strings.TrimLeft(s.rest, " \t\r\n") }

func (s *scanner) next(c byte) bool {
	s.blanks()
	s.fits = s.rest != "" && s.rest[0] == c
	if s.fits {
		s.rest = s.rest[1:]
	}
	return s.fits
}

// object reads an object; member reads the value of the name that it is given,
// and says whether it is right.
func (s *scanner) object(member func(name string) bool) bool {
	if !s.next('{') {
		return false
	}
	for more := true; more; {
		name := s.text()
		if !s.fits || !s.next(':') || !member(name) || !s.fits {
			s.fits = false
			return false
		}
		more = s.next(',')
	}
	return s.next('}')
}

// text reads a string without escapes. It is a part of what is read.
func (s *scanner) text() (t string) {
	if !s.next('"') {
		return ""
	}
	for i := range len(s.rest) {
		switch c := s.rest[i]; {
		case c == '"':
			t, s.rest = s.rest[:i], s.rest[i+1:]
			return t
		case c == '\\' || c < ' ':
			s.fits = false
			return ""
		}
	}
	s.fits = false
	return ""
}

// number reads a whole number below a billion billions.
func (s *scanner) number() (n uint64) {
	s.blanks()
	i := 0
	for i < len(s.rest) && '0' <= s.rest[i] && s.rest[i] <= '9' {
		n = 10*n + uint64(s.rest[i]-'0')
		i++
	}
	s.fits = i == 1 || 1 < i && i < 19 && s.rest[0] != '0'
	s.rest = s.rest[i:]
	return n
}
