package ws

import (
	"bytes"
	"net/url"
	"strings"
)

// maxFields is how many header fields a request for a WebSocket may have.
const maxFields = 128

// parseHead reads the head of an HTTP/1.1 request, of n bytes with the empty
// line, from the start of b. There are four answers:
//
//   - upgrade, and r: a request for a WebSocket, for Check and an Acceptor. r
//     holds nothing of b, but the field names in b are in canonical form now.
//   - refusal: a malformed request for an upgrade, or a head of more than
//     maxHead bytes.
//   - n > 0 alone: not for us. net/http gets b, which is unchanged, and judges
//     by itself.
//   - n == 0 alone: more must come. b is shorter than maxHead.
//
// Two parsers on one port must never take the same bytes for different
// requests. net/http can route a request as an upgrade only if a line behind
// its first begins with "Upgrade:" in any case, so without such a line nothing
// is judged here. With one, the head must consist of fields that net/http cuts
// in the same way, or it is refused, even where net/http would be more
// tolerant: of a line that ends in LF alone, of a folded field. Then IsUpgrade
// decides, by the same values on both sides. So no upgrade reaches net/http
// from here, and nothing becomes one that net/http would not take for the same:
// FuzzHead holds one against the other.
//
// And no second request hides behind the first: what comes after 101 is frames,
// and after a refusal the connection is closed.
func parseHead(b []byte) (r *Request, n int, upgrade bool, refusal *Refusal) {
	n = headEnd(b[:min(len(b), maxHead)])
	switch {
	case n == 0 && len(b) < maxHead:
		return nil, 0, false, nil
	case n == 0:
		return nil, 0, false, refuse(431, "the head of the request is too long")
	case !namesUpgrade(b[:n]):
		return nil, n, false, nil
	}
	var room [maxFields]field
	first := bytes.IndexByte(b, '\n') + 1
	fields, asks, refusal := cutFields(room[:0], b[:n], first)
	if refusal != nil || !asks {
		return nil, n, false, refusal
	}
	canonicalize(b, fields)
	head := string(b[:n])
	r = new(Request)
	if !r.setLine(head[:first]) {
		return nil, n, false, refuse(400, "malformed request line")
	}
	if refusal = r.setFields(head, fields); refusal != nil {
		return nil, n, false, refusal
	}
	return r, n, true, nil
}

// headEnd is where the first empty line ends, 0 if none does. A line ends in LF,
// as for net/http; whether CR comes before it is asked later.
func headEnd(b []byte) int {
	for _, empty := range []string{"\r\n", "\n"} { // before anything else
		if bytes.HasPrefix(b, []byte(empty)) {
			return len(empty)
		}
	}
	n := 0
	if i := bytes.Index(b, []byte("\n\r\n")); i >= 0 {
		n = i + len("\n\r\n")
		b = b[:n]
	}
	if i := bytes.Index(b, []byte("\n\n")); i >= 0 {
		n = i + len("\n\n")
	}
	return n
}

// namesUpgrade says whether a line behind the first begins with "Upgrade:".
// With a space before the name or the colon it is something else for net/http
// too: the rest of the field above it, or malformed.
func namesUpgrade(head []byte) bool {
	const name = "upgrade:"
	for {
		lf := bytes.IndexByte(head, '\n')
		if lf < 0 {
			return false
		}
		head = head[lf+1:]
		if len(head) > len(name) && head[0]|0x20 == name[0] && strings.EqualFold(string(head[:len(name)]), name) {
			return true
		}
	}
}

// A field is where a header field stands in the head: its name ends in front of
// the colon, its value has no spaces around it.
type field struct{ name, colon, value, end uint16 }

// cutFields finds the fields behind the first line, and whether one of them
// asks for a WebSocket.
func cutFields(fields []field, head []byte, at int) (_ []field, asks bool, _ *Refusal) {
	for {
		line := head[at:]
		line = line[:bytes.IndexByte(line, '\n')]
		last := len(line) - 1
		switch {
		case last < 0 || line[last] != '\r':
			return nil, false, refuse(400, "a line of the request's head must end in CR LF")
		case last == 0:
			return fields, asks, nil
		case len(fields) == cap(fields):
			return nil, false, refuse(431, "the request has too many header fields")
		}
		line = line[:last]
		colon := span(line, inToken)
		if colon == 0 || colon == last || line[colon] != ':' {
			return nil, false, refuse(400, "malformed header field")
		}
		value, end := colon+1, last
		for value < end && isBlank(line[value]) {
			value++
		}
		for value < end && isBlank(line[end-1]) {
			end--
		}
		if span(line[value:end], inValue) != end-value {
			return nil, false, refuse(400, "malformed header field")
		}
		if colon == len("upgrade") && strings.EqualFold(string(line[:colon]), "upgrade") {
			asks = asks || asksWebSocket(string(line[value:end]))
		}
		fields = append(fields, field{uint16(at), uint16(at + colon), uint16(at + value), uint16(at + end)})
		at += last + len("\r\n")
	}
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// canonicalize brings the names of the fields into the form of textproto's.
func canonicalize(head []byte, fields []field) {
	for _, f := range fields {
		upper := true
		name := head[f.name:f.colon]
		for i, c := range name {
			switch {
			case upper && 'a' <= c && c <= 'z', !upper && 'A' <= c && c <= 'Z':
				name[i] = c ^ 0x20
			}
			upper = c == '-'
		}
	}
}

// setLine gives r its request line; false is malformed. The path is decoded as
// by url.ParseRequestURI. The target is a path, or as it is sent to a proxy, a URL.
func (r *Request) setLine(line string) bool {
	method, line, _ := strings.Cut(line, " ")
	target, proto, ok := strings.Cut(line, " ")
	proto = strings.TrimSuffix(proto, "\r\n") // with LF alone it is no version
	if !ok || method == "" || span(method, inToken) != len(method) || !isVersion(proto) ||
		target == "" || span(target, inTarget) != len(target) {
		return false
	}
	r.Method, r.Proto = method, proto
	if target[0] != '/' {
		u, err := url.ParseRequestURI(target)
		if err != nil || method == "CONNECT" || u.Scheme != "http" && u.Scheme != "https" ||
			u.Host == "" || u.User != nil || span(u.Host, inHost) != len(u.Host) {
			return false
		}
		r.Host, r.Path, r.RawQuery = u.Host, u.Path, u.RawQuery
		return true
	}
	r.Path, r.RawQuery, _ = strings.Cut(target, "?")
	if strings.Contains(r.Path, "%") {
		var err error
		r.Path, err = url.PathUnescape(r.Path)
		return err == nil
	}
	return true
}

// isVersion says whether s is HTTP/1 and a digit. Check lets only 1.1 pass.
func isVersion(s string) bool {
	minor, ok := strings.CutPrefix(s, "HTTP/1.")
	return ok && len(minor) == 1 && isDigit(minor[0])
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// setFields gives r its fields, which are in canonical form in head.
func (r *Request) setFields(head string, fields []field) *Refusal {
	r.Header = make(Header, 0, len(fields))
	hosts, lengths := 0, 0
	for _, f := range fields {
		name, value := head[f.name:f.colon], head[f.value:f.end]
		switch name {
		case "Host":
			if hosts++; hosts > 1 || span(value, inHost) != len(value) {
				return refuse(400, "malformed Host header")
			}
			if r.Host == "" {
				r.Host = value
			}
			continue
		case "Content-Length":
			if lengths++; lengths > 1 || value != "0" {
				return refuse(400, "an opening handshake has no body")
			}
		case "Transfer-Encoding":
			return refuse(400, "an opening handshake has no body")
		case "Expect":
			return refuse(417, "an opening handshake has no body to wait for")
		}
		r.Header = append(r.Header, Field{name, value})
	}
	if hosts == 0 {
		return refuse(400, "the Host header is missing")
	}
	return nil
}

// What a byte may stand in.
const (
	inToken  = 1 << iota // RFC 9110, section 5.6.2
	inValue              // of a field: no control byte but a tab
	inTarget             // no space, no control byte, no fragment
	inHost               // whatever a host and a port may consist of
)

var class = func() (t [256]uint8) {
	for i := range t {
		c := byte(i)
		alnum := isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z'
		if alnum || c != 0 && strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 {
			t[c] |= inToken
		}
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[c] |= inValue
		}
		if c > ' ' && c != 0x7f && c != '#' {
			t[c] |= inTarget
		}
		if alnum || c != 0 && strings.IndexByte("!$%&()*+,-.:;=[]'_~", c) >= 0 {
			t[c] |= inHost
		}
	}
	return t
}()

// span is how many bytes at the start of s may stand there.
func span[T string | []byte](s T, where uint8) int {
	for i := range len(s) {
		if class[s[i]]&where == 0 {
			return i
		}
	}
	return len(s)
}
