package relay

import (
	"bytes"
	"encoding/json"

	"github.com/kabar-io/kabar/internal/gateway"
)

const (
	identifier = "kirimin"
	maxFields  = 1000    // of an object: each costs more than its bytes
	maxID      = 1 << 53 // the first number that is no id
)

// The types that clients may send and that mean something of their own. Any
// other is carried.
const (
	typePostLike   = "postlike"
	typePostUnlike = "postunlike"
	typeRead       = "readAllMessages"
	typeTyping     = "typing"
	typeOffer      = "offer"
	typeAnswer     = "answer"
	typeCandidate  = "candidate"
	typeHangup     = "hangup"
	typeReject     = "reject"
)

// reserved are the server's own types. A client that could send one could tell
// others what did not happen.
var reserved = map[string]bool{
	typeSend: true, typeEdit: true, typeDelete: true, typeClear: true, typeJoin: true, typeLeave: true, typeKick: true,
	"addfriend": true, "acceptfriend": true, "cancelfriend": true, "unfriend": true, "ignorefriend": true,
	typeBadges: true, typeNewLogin: true, typeOffline: true, typeAck: true, "error": true, typeLikes: true, typeNotice: true,
}

// field is a member of a client's object, as it stands there.
type field struct {
	key  []byte // with its quotes
	name []byte // what it says
	raw  []byte // the value
}

// frame is what a client says. It lives as long as the bytes it was read from.
type frame struct {
	kind     string
	ref      string // "" where there was none
	to       uint64 // 0 where there was none
	room     uint64
	roomtype string
	post     string
	callKey  string
	volatile bool
	fields   []field
}

// refusal is why a frame is not carried out. It is answered where the frame had
// a ref, or something that is none.
type refusal struct {
	ref string
	msg string
}

func (r *refusal) answered() bool { return r.ref != "" || r.msg == msgRef }

// decode reads a client's text frame. strict wants the identifier.
func decode(p []byte, strict bool) (frame, *refusal) {
	var f frame
	p = gateway.TrimFrame(p)
	if !json.Valid(p) || p[0] != '{' {
		return f, &refusal{"", msgNotJSON}
	}
	if f.fields = members(p); len(f.fields) > maxFields {
		return f, &refusal{"", msgFields}
	}
	if raw := f.value("ref"); raw != nil {
		if f.ref = text(raw); f.ref == "" || len(f.ref) > gateway.MaxRef {
			return f, &refusal{"", msgRef}
		}
	}
	f.kind = text(f.value("type"))
	switch {
	case f.kind == "":
		return f, &refusal{f.ref, msgType}
	case strict && text(f.value("identifier")) != identifier:
		return f, &refusal{f.ref, msgIdentifier}
	case reserved[f.kind]:
		return f, &refusal{f.ref, msgReserved}
	}
	return f, f.read()
}

// read reads what the frame's type needs.
func (f *frame) read() *refusal {
	to, room := f.value("to"), f.value("roomid")
	f.to, f.room, f.roomtype = id(to), id(room), text(f.value("roomtype"))
	f.callKey, f.volatile = text(f.value("callKey")), string(f.value("volatile")) == "true"
	switch f.kind {
	case typePostLike, typePostUnlike:
		if f.post = text(f.value("postid")); f.post == "" {
			return &refusal{f.ref, msgPostID}
		}
		return nil
	case typeRead, typeTyping:
		to, f.to = nil, 0
	case typeOffer, typeAnswer, typeCandidate, typeHangup, typeReject:
		room, f.room = nil, 0
	}
	switch {
	case to == nil && room == nil:
		return &refusal{f.ref, msgTo}
	case to != nil && f.to == 0, to == nil && f.room == 0:
		return &refusal{f.ref, msgNobody} // it is the id of nobody
	}
	return nil
}

// value is the value of a field, nil for none and for null. Of two of one name
// the last counts, as it does where clients read.
func (f *frame) value(name string) []byte {
	for i := len(f.fields) - 1; i >= 0; i-- {
		if string(f.fields[i].name) == name {
			if string(f.fields[i].raw) == "null" {
				return nil
			}
			return f.fields[i].raw
		}
	}
	return nil
}

// carried is what others get of the frame: its fields, without those that the
// server sets when it hands it on.
func (f *frame) carried(from uint64, without ...string) []byte {
	size := 2
	for i := range f.fields {
		size += len(f.fields[i].key) + len(f.fields[i].raw) + 24
	}
	b, kind := append(make([]byte, 0, size), '{'), f.value("type")
next:
	for i := range f.fields {
		m := &f.fields[i]
		switch string(m.name) {
		case "key", "from", "ref":
			continue
		case "type": // of two, the one that was looked at: some readers take the first
			if &m.raw[0] != &kind[0] {
				continue
			}
		}
		for _, name := range without {
			if string(m.name) == name {
				continue next
			}
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(b, m.key...), ':')
		if string(m.name) == "uid" {
			b = appendID(b, from)
		} else {
			b = append(b, m.raw...)
		}
	}
	return append(b, '}')
}

// members are those of a valid object; of very many, one more than the most.
func members(p []byte) []field {
	fields := make([]field, 0, 8)
	for at := space(p, 1); p[at] != '}' && len(fields) <= maxFields; {
		if p[at] == ',' {
			at = space(p, at+1)
		}
		end := skip(p, at)
		m := field{key: p[at:end]}
		m.name = m.key[1 : len(m.key)-1]
		if bytes.IndexByte(m.name, '\\') >= 0 {
			m.name = []byte(text(m.key))
		}
		at = space(p, space(p, end)+1) // past the colon
		end = skip(p, at)
		m.raw = p[at:end]
		fields = append(fields, m)
		at = space(p, end)
	}
	return fields
}

// space is where what follows the blanks at i begins.
func space(p []byte, i int) int {
	for p[i] == ' ' || p[i] == '\t' || p[i] == '\n' || p[i] == '\r' {
		i++
	}
	return i
}

// skip is where the value that begins at i ends, in valid JSON.
func skip(p []byte, i int) int {
	depth := 0
	for {
		switch p[i] {
		case '"':
			for i++; p[i] != '"'; i++ {
				if p[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth <= 0 {
				if depth < 0 {
					return i // the end of what it stands in
				}
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
		i++
	}
}

// text is a JSON string's text, "" for what is none.
func text(raw []byte) string {
	if len(raw) < 2 || raw[0] != '"' {
		return ""
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// id is a user's or a room's id, as a string of digits or as a number; 0 for
// what is none.
func id(raw []byte) (n uint64) {
	if len(raw) > 2 && raw[0] == '"' {
		raw = raw[1 : len(raw)-1]
	}
	if len(raw) == 0 || len(raw) > 16 || raw[0] == '0' {
		return 0
	}
	for _, c := range raw {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + uint64(c-'0')
	}
	if n >= maxID {
		return 0
	}
	return n
}

// pathID is an id in a path or a body.
func pathID(s string) uint64 { return id([]byte(s)) }
