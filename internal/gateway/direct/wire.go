package direct

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/ws"
)

// The types of frames.
const (
	typeError         = -1
	typeMessage       = 0
	typeIncoming      = 1
	typeNotification  = 2
	typeFriendRequest = 3
	typeAck           = 4
	typeSent          = 5
	typeRead          = 6
	typeTyping        = 7
	typePresence      = 8
)

// Wordings of ERROR that clients know, misspelling included.
const (
	notRecognized = "Data not recognized | "
	notMessage    = "Data is not Type MessageData | "
	notAMap       = notMessage + "Data is not a map"
	noText        = notMessage + "Message not found"
	textNotString = notMessage + "Message is not a string"
	noDestination = notMessage + "Message destination not found"
	toNotUint     = notMessage + "Detination is not uint"
	tooLong       = "Message limit reached. Get : %d limit is %d"
	notFriends    = "error : Room not found. maybe you are not friend right now"
)

// maxNumber is the first integer that JSON's numbers cannot be trusted with.
const maxNumber = 1 << 53

// message is a MESSAGE frame, or with receipts a READ or a TYPING.
type message struct {
	kind int
	to   uint64 // whom it is for
	text string // of a MESSAGE
	id   string // of a READ: up to where
	ref  string // "" where the frame had none
}

// refusal is what is wrong with a frame.
type refusal struct {
	message string // a wording that clients know
	code    string // ours, stable
	ref     string
}

// decode reads a client's text frame. limit is how many bytes the text may
// have; with receipts there are more types than MESSAGE.
func decode(p []byte, limit int, receipts bool) (message, *refusal) {
	if m, ok := quick(p, limit); ok {
		return m, nil
	}
	return decodeAny(p, limit, receipts)
}

func decodeAny(p []byte, limit int, receipts bool) (message, *refusal) {
	var f struct {
		Type json.RawMessage `json:"type"`
		Data json.RawMessage `json:"data"`
		Ref  json.RawMessage `json:"ref"`
	}
	p = gateway.TrimFrame(p)
	if err := json.Unmarshal(p, &f); err != nil || p[0] != '{' {
		return message{}, &refusal{notRecognized + jsonFault(err), "NOT_JSON", ""}
	}
	var m message
	if f.Ref != nil && string(f.Ref) != "null" {
		if json.Unmarshal(f.Ref, &m.ref) != nil || m.ref == "" || len(m.ref) > gateway.MaxRef {
			return m, &refusal{notRecognized + fmt.Sprintf("ref must be a string of 1 to %d bytes", gateway.MaxRef), "BAD_REF", ""}
		}
	}
	if f.Type != nil {
		n, err := strconv.ParseInt(string(f.Type), 10, 64)
		switch {
		case err != nil:
			return m, &refusal{notRecognized + "type must be a whole number", "BAD_TYPE", m.ref}
		case receipts && (n == typeRead || n == typeTyping):
			m.kind = int(n)
			return m, m.receipt(f.Data)
		case n != typeMessage:
			return m, &refusal{notRecognized + fmt.Sprintf("type %d cannot be sent", n), "UNKNOWN_TYPE", m.ref}
		}
	}
	return m, m.data(f.Data, limit)
}

// receipt reads the data of a READ or a TYPING.
func (m *message) receipt(raw json.RawMessage) *refusal {
	var d struct {
		User json.RawMessage `json:"user"`
		ID   json.RawMessage `json:"id"`
	}
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &d) != nil {
		return &refusal{notRecognized + "Data is not a map", "BAD_DATA", m.ref}
	}
	var err error
	if m.to, err = strconv.ParseUint(string(d.User), 10, 64); err != nil || m.to >= maxNumber {
		return &refusal{notRecognized + "user must be a friend's id, a whole number", "BAD_TO", m.ref}
	}
	if m.kind == typeTyping {
		return nil
	}
	if json.Unmarshal(d.ID, &m.id) != nil || !journal.IsID(m.id) {
		return &refusal{notRecognized + "id must be a message's id, a string", "BAD_ID", m.ref}
	}
	return nil
}

// data reads the data of a MESSAGE.
func (m *message) data(raw json.RawMessage, limit int) *refusal {
	var d struct {
		To      json.RawMessage `json:"to"`
		Message json.RawMessage `json:"message"`
	}
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &d) != nil {
		return &refusal{notAMap, "BAD_DATA", m.ref}
	}
	if d.Message == nil {
		return &refusal{noText, "BAD_MESSAGE", m.ref}
	}
	if d.Message[0] != '"' || json.Unmarshal(d.Message, &m.text) != nil {
		return &refusal{textNotString, "BAD_MESSAGE", m.ref}
	}
	if d.To == nil {
		return &refusal{noDestination, "BAD_TO", m.ref}
	}
	to, err := strconv.ParseUint(string(d.To), 10, 64)
	if err != nil || to >= maxNumber {
		return &refusal{toNotUint, "BAD_TO", m.ref}
	}
	m.to = to
	if len(m.text) > limit {
		return &refusal{fmt.Sprintf(tooLong, len(m.text), limit), "TEXT_TOO_LONG", m.ref}
	}
	return nil
}

func jsonFault(err error) string {
	var s *json.SyntaxError
	if errors.As(err, &s) {
		return fmt.Sprintf("%v at byte %d", err, s.Offset)
	}
	return "the frame must be an object"
}

// Format writes what concerns one person, as their connections hear it.
type Format struct {
	User     uint64 // whose inbox it is
	Devices  bool   // with what they sent themselves
	Receipts bool   // with who read, who types and who is online
	Epoch    string // frames carry seq and this epoch; "" for neither
}

// Append writes a message of the person's inbox as a frame, or nothing.
func (f Format) Append(dst []byte, m *journal.Message, seq uint64) []byte {
	return gateway.AppendFrame(dst, f.encode(m), seq, f.Epoch)
}

// encode writes a frame but for its closing brace, nil where there is nothing
// to say.
func (f Format) encode(m *journal.Message) []byte {
	switch m.Kind {
	case chat.KindMessage:
		if m.From == f.User && !f.Devices { // one's own
			return nil
		}
		d, err := chat.ReadMessage(m.Data)
		if err != nil || d.Text == "" { // taken back by now
			return nil
		}
		switch {
		case d.Group != nil:
			return f.group(m, &d)
		case d.To == f.User && m.From != f.User:
			b := open(typeIncoming, len(d.Text)+160)
			b = append(b, `"from":`...)
			b = strconv.AppendUint(b, m.From, 10)
			return said(b, &d, m)
		case f.Devices && m.From == f.User:
			b := open(typeSent, len(d.Text)+160)
			b = append(b, `"to":`...)
			b = strconv.AppendUint(b, d.To, 10)
			return said(b, &d, m)
		}
	case account.KindNotice:
		var d account.Notice
		if json.Unmarshal(m.Data, &d) == nil {
			return notification(d.Text, "notice", 0)
		}
	case hub.KindExpired:
		return notification(gateway.Expired(m), "expired", 0)
	case chat.KindRead, chat.KindTyping, chat.KindPresence:
		return f.receipt(m)
	default:
		return f.friend(m)
	}
	return nil
}

// group says in words what somebody said in a group: this dialect has none.
func (f Format) group(m *journal.Message, d *chat.MessageSent) []byte {
	if m.From == f.User {
		return nil
	}
	name := d.Sender.Name
	if name == "" {
		return notification(d.Group.Name+": "+d.Text, "group", 0)
	}
	return notification(name+" in "+d.Group.Name+": "+d.Text, "group", m.From)
}

// receipt writes what a friend read, that one types, and that one came or went,
// to who asked for it. What happens in groups is not for this dialect.
func (f Format) receipt(m *journal.Message) []byte {
	if !f.Receipts || m.From == f.User {
		return nil
	}
	about := func(kind int, user uint64) []byte {
		return strconv.AppendUint(append(open(kind, 80), `"user":`...), user, 10)
	}
	switch m.Kind {
	case chat.KindRead:
		var d chat.MessagesRead
		if json.Unmarshal(m.Data, &d) == nil && d.Group == nil {
			b := append(about(typeRead, d.By.ID), `,"id":`...)
			return append(gateway.AppendString(b, d.Last), '}')
		}
	case chat.KindTyping:
		var d chat.Typing
		if json.Unmarshal(m.Data, &d) == nil && d.Group == nil {
			return append(about(typeTyping, d.By.ID), '}')
		}
	case chat.KindPresence:
		var d chat.Presence
		if json.Unmarshal(m.Data, &d) == nil {
			return appendOnline(about(typePresence, d.User), d.Online)
		}
	}
	return nil
}

func appendOnline(b []byte, online bool) []byte {
	return append(strconv.AppendBool(append(b, `,"online":`...), online), '}')
}

// appendHere writes a PRESENCE of a friend who is online already.
func appendHere(dst []byte, user uint64) []byte {
	b := strconv.AppendUint(append(open(typePresence, 80), `"user":`...), user, 10)
	return ws.AppendText(dst, append(appendOnline(b, true), '}'))
}

// friend writes what happens between people who are or might be friends, to
// the one who did not do it.
func (f Format) friend(m *journal.Message) []byte {
	words, known := friendWords[m.Kind]
	if !known || m.From == f.User {
		return nil
	}
	var d chat.FriendEvent
	if json.Unmarshal(m.Data, &d) != nil {
		return nil
	}
	if m.Kind == chat.KindRequested {
		b := append(open(typeFriendRequest, 64), `"from":`...)
		return append(strconv.AppendUint(b, m.From, 10), '}')
	}
	return notification(d.By.Name+words.text, words.kind, m.From)
}

var friendWords = map[string]struct{ kind, text string }{
	chat.KindRequested: {},
	chat.KindAccepted:  {"accepted", " accepted your friend request"},
	chat.KindDeclined:  {"declined", " declined your friend request"},
	chat.KindWithdrawn: {"withdrawn", " withdrew the friend request"},
	chat.KindEnded:     {"unfriended", " is not your friend any more"},
}

func open(kind, size int) []byte {
	b := append(make([]byte, 0, size), `{"type":`...)
	b = strconv.AppendInt(b, int64(kind), 10)
	return append(b, `,"data":{`...)
}

func said(b []byte, d *chat.MessageSent, m *journal.Message) []byte {
	b = append(b, `,"message":`...)
	b = gateway.AppendString(b, d.Text)
	b = append(b, `,"time":"`...)
	b = m.Time.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","id":`...)
	b = gateway.AppendString(b, m.ID)
	return append(b, '}')
}

func notification(text, kind string, user uint64) []byte {
	b := append(open(typeNotification, len(text)+96), `"message":`...)
	b = gateway.AppendString(b, text)
	b = append(b, `,"kind":`...)
	b = gateway.AppendString(b, kind)
	if user != 0 {
		b = append(b, `,"user":`...)
		b = strconv.AppendUint(b, user, 10)
	}
	return append(b, '}')
}

// appendAck writes the ACK of what is stored: the message with this id.
func appendAck(dst []byte, ref, id string, at time.Time) []byte {
	b := append(open(typeAck, len(ref)+128), `"ref":`...)
	b = gateway.AppendString(b, ref)
	b = append(b, `,"id":`...)
	b = gateway.AppendString(b, id)
	b = append(b, `,"time":"`...)
	b = at.UTC().AppendFormat(b, time.RFC3339Nano)
	return ws.AppendText(dst, append(b, `"}}`...))
}

// appendError writes an ERROR frame's text.
//
//nolint:unparam // dst is there because it is in all that appends
func appendError(dst []byte, r *refusal) []byte {
	dst = append(dst, `{"type":-1,"data":{"message":`...)
	dst = gateway.AppendString(dst, r.message)
	dst = append(dst, `,"code":`...)
	dst = gateway.AppendString(dst, r.code)
	if r.ref != "" {
		dst = append(dst, `,"ref":`...)
		dst = gateway.AppendString(dst, r.ref)
	}
	return append(dst, `}}`...)
}
