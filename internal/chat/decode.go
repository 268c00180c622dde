package chat

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/account"
)

// ReadMessage reads the Data of a KindMessage.
func ReadMessage(data []byte) (m MessageSent, err error) {
	if utf8.Valid(data) && m.readJSON(string(data)) {
		return m, nil
	}
	m = MessageSent{}
	err = json.Unmarshal(data, &m)
	return m, err
}

// readJSON reads what appendJSON writes, in a tenth of encoding/json's time;
// false where somebody else wrote it.
func (m *MessageSent) readJSON(s string) bool {
	r := written{rest: s}
	m.Room = r.number(`{"room":`)
	if r.starts(`,"to":`) {
		m.To = r.number(`,"to":`)
	}
	m.Text = r.text(`,"text":`)
	r.profile(`,"sender":`, &m.Sender)
	if r.starts(`,"receiver":`) {
		m.Receiver = new(account.Profile)
		r.profile(`,"receiver":`, m.Receiver)
	}
	if r.starts(`,"group":`) {
		m.Group = &GroupProfile{ID: r.number(`,"group":{"id":`), Name: r.text(`,"name":`), Owner: r.number(`,"owner":`)}
		r.pass(`}`)
	}
	if r.starts(`,"reply":`) {
		m.Reply = r.text(`,"reply":`)
	}
	return !r.other && r.rest == `}`
}

// written is JSON that was written by hand, as it is read again.
type written struct {
	rest  string
	other bool // it is not what was expected
}

func (r *written) starts(s string) bool { return strings.HasPrefix(r.rest, s) }

func (r *written) pass(s string) {
	var ok bool
	if r.rest, ok = strings.CutPrefix(r.rest, s); !ok {
		r.other = true
	}
}

func (r *written) number(before string) uint64 {
	r.pass(before)
	end := strings.IndexAny(r.rest, ",}")
	if r.other || end < 0 {
		r.other = true
		return 0
	}
	n, err := strconv.ParseUint(r.rest[:end], 10, 64)
	r.other = err != nil || end > 1 && r.rest[0] == '0'
	r.rest = r.rest[end:]
	return n
}

func (r *written) text(before string) (s string) {
	r.pass(before)
	if !r.starts(`"`) {
		r.other = true
		return ""
	}
	escaped := false
	for i := 1; i < len(r.rest); i++ {
		switch c := r.rest[i]; {
		case c == '"' && escaped:
			r.other = r.other || json.Unmarshal([]byte(r.rest[:i+1]), &s) != nil
			r.rest = r.rest[i+1:]
			return s
		case c == '"':
			s, r.rest = r.rest[1:i], r.rest[i+1:]
			return s
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			r.other = true
			return ""
		}
	}
	r.other = true
	return ""
}

func (r *written) profile(before string, p *account.Profile) {
	r.pass(before)
	p.ID = r.number(`{"id":`)
	p.Handle, p.Name = r.text(`,"handle":`), r.text(`,"name":`)
	r.pass(`}`)
}
