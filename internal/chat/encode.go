package chat

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/account"
)

// appendJSON writes m as encoding/json does, byte for byte, in a tenth of its
// time: a private message is written this way.
func (m *MessageSent) appendJSON(b []byte) []byte {
	b = strconv.AppendUint(append(b, `{"room":`...), m.Room, 10)
	if m.To != 0 {
		b = strconv.AppendUint(append(b, `,"to":`...), m.To, 10)
	}
	b = appendString(append(b, `,"text":`...), m.Text)
	b = appendProfile(append(b, `,"sender":`...), &m.Sender)
	if m.Receiver != nil {
		b = appendProfile(append(b, `,"receiver":`...), m.Receiver)
	}
	if g := m.Group; g != nil {
		b = strconv.AppendUint(append(b, `,"group":{"id":`...), g.ID, 10)
		b = appendString(append(b, `,"name":`...), g.Name)
		b = strconv.AppendUint(append(b, `,"owner":`...), g.Owner, 10)
		b = append(b, '}')
	}
	if m.Reply != "" {
		b = appendString(append(b, `,"reply":`...), m.Reply)
	}
	return append(b, '}')
}

func appendProfile(b []byte, p *account.Profile) []byte {
	b = strconv.AppendUint(append(b, `{"id":`...), p.ID, 10)
	b = appendString(append(b, `,"handle":`...), p.Handle)
	b = appendString(append(b, `,"name":`...), p.Name)
	return append(b, '}')
}

// appendString writes s as a JSON string. What has to be escaped is left to
// encoding/json, and so is what begins as the two line separators do.
func appendString(b []byte, s string) []byte {
	ascii := true
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c == '"', c == '\\', c == '<', c == '>', c == '&', c == 0xe2:
			return appendEscaped(b, s)
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	if !ascii && !utf8.ValidString(s) {
		return appendEscaped(b, s)
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendEscaped(b []byte, s string) []byte {
	// Of a clone, so that what holds s may stay on the stack.
	quoted, _ := json.Marshal(strings.Clone(s)) //nolint:errchkjson // a string always encodes
	return append(b, quoted...)
}
