package relay

import (
	"slices"
	"strconv"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
)

// noFriend is the isFriend of a User who has none shown.
const noFriend = -1

// user is a person as this dialect shows them.
type user struct {
	id           uint64
	handle, name string
	friend       int // 0 to 3, or noFriend
	badges       []int
	bio, image   string
}

func ofProfile(p account.Profile, friend int) user {
	return user{id: p.ID, handle: p.Handle, name: p.Name, friend: friend}
}

func ofUser(u account.User, friend int) user {
	return user{u.ID, u.Handle, u.Display, friend, u.Badges, u.About, u.Avatar}
}

func ofPerson(p chat.Person) user { return ofUser(p.User, int(p.Friend)) }

func ofPeople(ps []chat.Person) []user {
	us := make([]user, len(ps))
	for i, p := range ps {
		us[i] = ofPerson(p)
	}
	return us
}

func (u *user) append(b []byte) []byte {
	b = appendID(append(b, `{"id":`...), u.id)
	b = appendText(b, `,"username":`, u.handle)
	b = appendText(b, `,"displayname":`, u.name)
	if u.friend != noFriend {
		b = append(b, `,"isFriend":`...)
		b = strconv.AppendInt(b, int64(u.friend), 10)
	}
	b = appendBadges(b, u.badges)
	b = appendSome(b, `,"bio":`, u.bio)
	b = appendSome(b, `,"image":`, u.image)
	return append(b, '}')
}

// MarshalJSON writes the shape that frames have too.
func (u user) MarshalJSON() ([]byte, error) { return u.append(nil), nil }

// room is a chat's place as one person sees it: of a private chat it describes
// the other.
type room struct {
	id          uint64
	short, long string
	image       string
	badges      []int
	group       bool // or a person
	owner       uint64
	link        string
}

func roomOf(u *user) room {
	return room{id: u.id, short: u.handle, long: u.name, image: u.image, badges: u.badges}
}

func roomOfGroup(g *chat.Group) room {
	return room{id: g.ID, short: g.Name, long: g.Name, group: true, owner: g.Owner, link: g.Link}
}

func roomOfProfile(g *chat.GroupProfile) room {
	return room{id: g.ID, short: g.Name, long: g.Name, group: true, owner: g.Owner}
}

func (r *room) append(b []byte) []byte {
	b = appendID(append(b, `{"id":`...), r.id)
	b = appendText(b, `,"short":`, r.short)
	b = appendText(b, `,"long":`, r.long)
	b = appendSome(b, `,"image":`, r.image)
	b = appendBadges(b, r.badges)
	if !r.group {
		return append(b, `,"type":"user"}`...)
	}
	b = appendID(append(b, `,"type":"group","owner":`...), r.owner)
	b = appendSome(b, `,"link":`, r.link)
	return append(b, '}')
}

// MarshalJSON writes the shape that frames have too.
func (r room) MarshalJSON() ([]byte, error) { return r.append(nil), nil }

// line is a Message.
type line struct {
	id, kind    string
	user        uint64
	time        int64 // ms
	text, reply string
	edited      int64 // ms, 0 for never
	readers     []uint64
	call        bool
	duration    int64 // ms, of a call
}

const (
	kindText    = "text"
	kindDeleted = "deleted"
	kindCall    = "call"
)

// lineOf is a message of the past.
func lineOf(m *chat.Message) line {
	l := line{id: m.ID, kind: kindText, user: m.Sender.ID, time: m.Time.UnixMilli(), text: m.Text, reply: m.Reply, readers: m.Readers}
	if !m.Edited.IsZero() {
		l.edited = m.Edited.UnixMilli()
	}
	switch {
	case m.Call != nil:
		l.kind, l.call = kindCall, true
		if l.duration = int64(m.Call.Seconds); l.duration > 0 {
			l.duration *= 1000
		}
	case m.Deleted:
		l.kind, l.text, l.reply, l.edited = kindDeleted, "", "", 0
	}
	return l
}

// linesOf are messages of the past, the oldest first; they come newest first
// where newest is set.
func linesOf(ms []chat.Message, newest bool) []line {
	ls := make([]line, len(ms))
	for i := range ms {
		ls[i] = lineOf(&ms[i])
	}
	if newest {
		slices.Reverse(ls)
	}
	return ls
}

func (l *line) append(b []byte) []byte {
	b = appendText(b, `{"id":`, l.id)
	b = appendID(append(b, `,"userid":`...), l.user)
	b = append(b, `,"timestamp":`...)
	b = strconv.AppendInt(b, l.time, 10)
	b = appendText(b, `,"type":`, l.kind)
	b = appendSome(b, `,"text":`, l.text)
	b = appendSome(b, `,"reply":`, l.reply)
	if l.edited != 0 {
		b = append(b, `,"edited":`...)
		b = strconv.AppendInt(b, l.edited, 10)
	}
	if len(l.readers) > 0 {
		b = append(b, `,"readers":[`...)
		for i, id := range l.readers {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendID(b, id)
		}
		b = append(b, ']')
	}
	if l.call {
		b = append(b, `,"duration":`...)
		b = strconv.AppendInt(b, l.duration, 10)
	}
	return append(b, '}')
}

// MarshalJSON writes the shape that frames have too.
func (l line) MarshalJSON() ([]byte, error) { return l.append(nil), nil }

// conversation is a Chat.
type conversation struct {
	Room     room   `json:"r"`
	Users    []user `json:"u"`
	Messages []line `json:"m"`
}

func appendID(b []byte, id uint64) []byte {
	return append(strconv.AppendUint(append(b, '"'), id, 10), '"')
}

func appendText(b []byte, name, text string) []byte {
	return gateway.AppendString(append(b, name...), text)
}

// appendSome appends a text that is left out where it is empty.
func appendSome(b []byte, name, text string) []byte {
	if text == "" {
		return b
	}
	return appendText(b, name, text)
}

func appendBadges(b []byte, badges []int) []byte {
	if len(badges) == 0 {
		return b
	}
	return appendInts(append(b, `,"badges":`...), badges)
}

func appendInts(b []byte, ns []int) []byte {
	b = append(b, '[')
	for i, n := range ns {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return append(b, ']')
}
