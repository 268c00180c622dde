package relay

import (
	"encoding/json"
	"strconv"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// The types of frames that only the server sends, beside those of friends.
const (
	typeSend     = "sendmessage"
	typeEdit     = "editmessage"
	typeDelete   = "deletemessage"
	typeClear    = "clearhistory"
	typeJoin     = "memberjoin"
	typeLeave    = "memberleave"
	typeKick     = "memberkick"
	typeBadges   = "newbadges"
	typeNotice   = "notice"
	typeLikes    = "postlikes"
	typeNewLogin = "newLoggedIn"
	typeOffline  = "calloffline"
	typeAck      = "ack"
)

// closeReplaced is the close code of a socket whose id was replaced.
const closeReplaced = 4009

// Format writes what concerns one person, as their sockets hear it.
type Format struct {
	User    uint64 // whose inbox it is
	Devices bool   // with what they did on another device
	Notices bool   // with notices
	Epoch   string // frames carry seq and this epoch; "" for neither
	Shown   uint64 // up to there a bootstrap has shown all that it shows
}

// Append writes a message of the person's inbox as a frame, or nothing.
func (f Format) Append(dst []byte, m *journal.Message, seq uint64) []byte {
	if seq != 0 && seq <= f.Shown && m.Kind != chat.KindRelayed && m.Kind != account.KindNotice { // which no bootstrap shows
		return dst
	}
	return gateway.AppendFrame(dst, f.encode(m), seq, f.Epoch)
}

// End says that the socket's id was replaced, or its login ended.
func (f Format) End(m *journal.Message) (last []byte, code uint16, reason string) {
	if m.Kind != account.KindTicketReplaced {
		return nil, status.Unauthenticated.Close(), "the login has ended"
	}
	b := appendID([]byte(`{"type":"`+typeNewLogin+`","uid":`), f.User)
	return ws.AppendText(nil, append(b, '}')), closeReplaced, "the socket id was replaced by a newer one"
}

// encode writes a frame but for its closing brace, nil where there is nothing
// to say.
func (f Format) encode(m *journal.Message) []byte {
	switch m.Kind {
	case chat.KindMessage, chat.KindEdited, chat.KindDeleted:
		return f.message(m)
	case chat.KindRead, chat.KindCleared:
		return f.room(m)
	case chat.KindTyping:
		return f.typing(m)
	case chat.KindJoined, chat.KindLeft, chat.KindKicked:
		return f.member(m)
	case chat.KindRelayed:
		return f.relayed(m)
	case chat.KindSignal:
		return f.signal(m)
	case account.KindBadges:
		var d account.Badges
		if json.Unmarshal(m.Data, &d) != nil {
			return nil
		}
		return appendInts(append(open(m, m.From, typeBadges, 64), `,"badges":`...), d.Badges)
	case account.KindNotice:
		var d account.Notice
		if !f.Notices || json.Unmarshal(m.Data, &d) != nil {
			return nil
		}
		return appendText(open(m, m.From, typeNotice, len(d.Text)+96), `,"text":`, d.Text)
	case hub.KindExpired:
		if !f.Notices {
			return nil
		}
		return appendText(open(m, 0, typeNotice, 256), `,"text":`, gateway.Expired(m))
	}
	return f.friend(m)
}

// open begins a frame. size is about how long it becomes.
func open(m *journal.Message, from uint64, kind string, size int) []byte {
	b := appendText(make([]byte, 0, size), `{"key":`, m.ID)
	b = appendID(append(b, `,"from":`...), from)
	b = append(b, `,"type":"`...)
	return append(append(b, kind...), '"')
}

// hears says whether the person hears what by did.
func (f Format) hears(by uint64) bool { return by != f.User || f.Devices }

// message writes a message, or what became of it.
func (f Format) message(m *journal.Message) []byte {
	var d chat.MessageEdited
	if !f.hears(m.From) || json.Unmarshal(m.Data, &d) != nil {
		return nil
	}
	l := line{id: m.ID, kind: kindText, user: d.Sender.ID, time: m.Time.UnixMilli(), text: d.Text, reply: d.Reply}
	kind := typeSend
	switch m.Kind {
	case chat.KindEdited:
		kind, l.id, l.time, l.edited = typeEdit, d.Of, d.Sent.UnixMilli(), m.Time.UnixMilli()
	case chat.KindDeleted:
		kind, l.id, l.time, l.text, l.reply = typeDelete, d.Of, d.Sent.UnixMilli(), "", ""
	}
	if l.text == "" { // taken back by now
		l.kind = kindDeleted
	}
	sender := ofProfile(d.Sender, noFriend)
	other, at := sender, room{}
	switch {
	case d.Group != nil:
		at = roomOfProfile(d.Group)
	case d.Sender.ID == f.User: // on another device
		sender.friend = int(chat.Strangers)
		other = user{id: d.To, friend: int(chat.Friends)}
		if d.Receiver != nil {
			other = ofProfile(*d.Receiver, int(chat.Friends))
		}
		at = roomOf(&other)
	default:
		sender.friend = int(chat.Friends)
		other = sender
		at = roomOf(&other)
	}
	b := open(m, m.From, kind, len(d.Text)+512)
	b = l.append(append(b, `,"chat":`...))
	b = at.append(append(b, `,"roomdata":`...))
	b = append(other.append(append(b, `,"users":[`...)), ']')
	return sender.append(append(b, `,"sender":`...))
}

// seenFrom is the room as the person knows it: the group, or the other one of
// the two.
func (f Format) seenFrom(by, to uint64, g *chat.GroupProfile) uint64 {
	switch {
	case g != nil:
		return g.ID
	case by == f.User:
		return to
	}
	return by
}

// room writes that somebody read a room, or cleared it.
func (f Format) room(m *journal.Message) []byte {
	var d chat.RoomEvent // what both have
	if json.Unmarshal(m.Data, &d) != nil || !f.hears(d.By.ID) {
		return nil
	}
	kind := typeRead
	if m.Kind == chat.KindCleared {
		kind = typeClear
	}
	return appendID(append(open(m, d.By.ID, kind, 128), `,"roomid":`...), f.seenFrom(d.By.ID, d.To, d.Group))
}

func (f Format) typing(m *journal.Message) []byte {
	var d chat.Typing
	if json.Unmarshal(m.Data, &d) != nil || d.By.ID == f.User {
		return nil
	}
	b := appendID(append(open(m, d.By.ID, typeTyping, 128), `,"roomid":`...), f.seenFrom(d.By.ID, d.To, d.Group))
	if d.Group != nil {
		return append(b, `,"roomtype":"group"`...)
	}
	return append(b, `,"roomtype":"user"`...)
}

// member writes who comes into a group and who leaves it. To those who stay,
// having to go is leaving: of a memberkick clients conclude that it is they who
// are out.
func (f Format) member(m *journal.Message) []byte {
	var d chat.MemberEvent
	if json.Unmarshal(m.Data, &d) != nil {
		return nil
	}
	kind, from := typeLeave, d.User.ID
	switch {
	case m.Kind == chat.KindJoined:
		kind = typeJoin
	case m.Kind == chat.KindKicked && d.User.ID == f.User:
		kind, from = typeKick, d.By.ID
	}
	if !f.hears(m.From) {
		return nil
	}
	b := appendID(append(open(m, from, kind, 256), `,"groupid":`...), d.Group.ID)
	if kind == typeJoin {
		u := ofProfile(d.User, noFriend)
		b = u.append(append(b, `,"user":`...))
	}
	return b
}

// relayed writes what a client says in its own words. The room that it says it
// in is, of a private chat, for the receiver the one who says it.
func (f Format) relayed(m *journal.Message) []byte {
	var d chat.Relayed
	if json.Unmarshal(m.Data, &d) != nil || m.From == f.User || len(d.Payload) == 0 || d.Payload[0] != '{' {
		return nil
	}
	b := appendText(make([]byte, 0, len(d.Payload)+160), `{"key":`, m.ID)
	b = appendID(append(b, `,"from":`...), m.From)
	for _, p := range members(d.Payload) {
		switch string(p.name) {
		case "key", "from":
			continue
		case "seq", "epoch":
			if f.Epoch != "" {
				continue
			}
		case "roomid":
			if d.Group == nil && id(p.raw) == f.User {
				b = appendID(append(b, `,"roomid":`...), m.From)
				continue
			}
		}
		b = append(append(b, ','), p.key...)
		b = append(append(b, ':'), p.raw...)
	}
	return b
}

// signal writes a step of a call. One of nobody in particular is of somebody who
// is not heard any more: it says which call it is, and no more.
func (f Format) signal(m *journal.Message) []byte {
	var d chat.Signal
	if json.Unmarshal(m.Data, &d) != nil || d.By.ID == f.User || len(d.Payload) == 0 || d.Payload[0] != '{' {
		return nil
	}
	b := append(make([]byte, 0, len(d.Payload)+256), '{')
	for _, p := range members(d.Payload) {
		if name := string(p.name); f.Epoch != "" && (name == "seq" || name == "epoch") {
			continue
		}
		b = append(append(b, p.key...), ':')
		b = append(append(b, p.raw...), ',')
	}
	if d.By.ID == 0 {
		return b[:len(b)-1]
	}
	u := ofProfile(d.By, int(chat.Friends))
	b = u.append(append(b, `"user":`...))
	b = appendID(append(b, `,"from":`...), d.By.ID)
	return appendID(append(b, `,"uid":`...), d.By.ID)
}

// friends are the frames of what happens between two people, and what the one
// who did it is to the other after it.
var friends = map[string]struct {
	kind   string
	friend chat.Friendship
}{
	chat.KindRequested: {"addfriend", chat.TheyAsked},
	chat.KindAccepted:  {"acceptfriend", chat.Friends},
	chat.KindWithdrawn: {"cancelfriend", chat.Strangers},
	chat.KindDeclined:  {"ignorefriend", chat.Strangers},
	chat.KindEnded:     {"unfriend", chat.Strangers},
}

// friend writes what happens between people who are or might be friends, to
// the one who did not do it.
func (f Format) friend(m *journal.Message) []byte {
	known, is := friends[m.Kind]
	var d chat.FriendEvent
	if !is || m.From == f.User || json.Unmarshal(m.Data, &d) != nil {
		return nil
	}
	u := ofProfile(d.By, int(known.friend))
	return u.append(append(open(m, d.By.ID, known.kind, 256), `,"user":`...))
}

// Likes is the format of who watches posts.
type Likes struct{}

// Append writes how many like a post now.
func (Likes) Append(dst []byte, m *journal.Message, _ uint64) []byte {
	var d chat.Likes
	if m.Kind != chat.KindLikes || json.Unmarshal(m.Data, &d) != nil {
		return dst
	}
	b := appendText(nil, `{"type":"`+typeLikes+`","postid":`, d.Post)
	b = append(b, `,"likes":`...)
	b = strconv.AppendInt(b, int64(d.Likes), 10)
	return ws.AppendText(dst, append(b, '}'))
}

// appendAck begins the answer to a frame; the caller ends it.
func appendAck(ref string, ok bool) []byte {
	b := append(make([]byte, 0, len(ref)+128), `{"type":"ack"`...)
	if ref != "" {
		b = appendText(b, `,"ref":`, ref)
	}
	if ok {
		return append(b, `,"ok":true`...)
	}
	return append(b, `,"ok":false`...)
}

// appendOffline writes that nobody is there to take a call.
func appendOffline(u *user) []byte {
	return append(u.append([]byte(`{"type":"`+typeOffline+`","user":`)), '}')
}

// appendSaid writes the answer to a frame that said something.
func appendSaid(ref string, m *journal.Message) []byte {
	b := appendAck(ref, true)
	if m != nil {
		b = gateway.AppendString(append(b, `,"key":`...), m.ID)
		b = append(b, `,"time":`...)
		b = strconv.AppendInt(b, m.Time.UnixMilli(), 10)
	}
	return append(b, '}')
}

// appendRefusal writes the answer to a frame that was not carried out.
func appendRefusal(r *refusal) []byte {
	return append(appendText(appendAck(r.ref, false), `,"msg":`, r.msg), '}')
}
