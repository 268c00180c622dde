package personal

import (
	"context"
	"encoding/json"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
)

// Record is a line of an export: its type, and one of what follows.
type Record struct {
	Type    string   `json:"type"` // "profile", "login", "person", "group", "post", "comment", "like", "read", "message"
	Profile *Profile `json:"profile,omitempty"`
	Login   *Login   `json:"login,omitempty"`
	Person  *Person  `json:"person,omitempty"`
	Group   *Group   `json:"group,omitempty"`
	Post    *Post    `json:"post,omitempty"`
	Like    string   `json:"like,omitempty"` // the post's id
	Read    *Read    `json:"read,omitempty"`
	Message *Message `json:"message,omitempty"`
}

// Profile is the account, without its secrets.
type Profile struct {
	account.Profile
	Email     string     `json:"email"`
	About     string     `json:"about"`
	Avatar    string     `json:"avatar"`
	Proven    bool       `json:"proven"` // a code mailed to the address came back
	Suspended bool       `json:"suspended"`
	Created   time.Time  `json:"created"`
	Groups    []string   `json:"groups"`
	Badges    []int      `json:"badges"`
	LastSeen  *time.Time `json:"last_seen,omitempty"`
}

// Login is a device, without its token.
type Login struct {
	ID      uint64    `json:"id"`
	Gateway string    `json:"gateway"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`
	Expires time.Time `json:"expires"`
}

// Person is somebody with whom they have to do.
type Person struct {
	account.Profile
	Standing string `json:"standing"` // "friend", "asked", "was asked", "blocked"
}

// Group is one that they are in.
type Group struct {
	ID    uint64 `json:"id"`
	Name  string `json:"name"`
	Owner bool   `json:"owner"`
}

// Post is what they said to everybody, or a comment on such.
type Post struct {
	ID   string    `json:"id"`
	On   string    `json:"on,omitempty"` // of a comment: the post
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

// Read is up to where they have read what was said in a room.
type Read struct {
	Room uint64    `json:"room"`
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time,omitzero"` // when; zero where that was not written down
}

// Message is what they said or what was said to them, as the log has it.
type Message struct {
	ID   string          `json:"id"`
	Time time.Time       `json:"time"`
	Kind string          `json:"kind"`
	From uint64          `json:"from,omitempty"`
	Sent bool            `json:"sent,omitempty"` // by them
	Data json.RawMessage `json:"data"`
}

// Export hands all that is kept of somebody to emit, whose error ends it. It
// holds a page at a time.
func (s *Service) Export(ctx context.Context, user uint64, emit func(Record) error) error {
	u, err := s.o.Accounts.User(ctx, user)
	if err == nil && u.Erased {
		err = account.ErrUserNotFound
	}
	if err != nil {
		return err
	}
	for _, part := range []func(context.Context, account.User, func(Record) error) error{
		s.profile, s.logins, s.people, s.posts, s.marks, s.messages,
	} {
		if err := part(ctx, u, emit); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) profile(ctx context.Context, u account.User, emit func(Record) error) error {
	groups, err := s.o.Accounts.Groups(ctx, u.ID)
	if err != nil {
		return err
	}
	p := Profile{
		Profile: u.Profile(), Email: u.Email, About: u.About, Avatar: u.Avatar, Proven: u.Proven, Suspended: u.Suspended,
		Created: u.Created, Groups: groups, Badges: u.Badges,
	}
	seen, err := s.o.Chats.LastSeen(ctx, u.ID)
	if err != nil {
		return err
	}
	if !seen.IsZero() {
		p.LastSeen = &seen
	}
	return emit(Record{Type: "profile", Profile: &p})
}

func (s *Service) logins(ctx context.Context, u account.User, emit func(Record) error) error {
	for after := uint64(0); ; {
		ls, err := s.o.Accounts.Logins(ctx, u.ID, after, page)
		if err != nil || len(ls) == 0 {
			return err
		}
		for _, l := range ls {
			after = l.ID
			if err := emit(Record{Type: "login", Login: &Login{l.ID, l.Gateway, l.Created, l.Seen, l.Expires}}); err != nil {
				return err
			}
		}
	}
}

func (s *Service) people(ctx context.Context, u account.User, emit func(Record) error) error {
	err := s.o.Chats.EachStanding(ctx, u.ID, func(st chat.Standing, other account.User) error {
		var standing string
		switch {
		case st.Blocks:
			standing = "blocked"
		case st.Friends:
			standing = "friend"
		case st.Asked:
			standing = "asked"
		case st.WasAsked:
			standing = "was asked"
		default: // they block: that is theirs
			return nil
		}
		return emit(Record{Type: "person", Person: &Person{other.Profile(), standing}})
	})
	if err != nil {
		return err
	}
	return s.o.Chats.EachGroup(ctx, u.ID, func(g chat.Group) error {
		return emit(Record{Type: "group", Group: &Group{g.ID, g.Name, g.Owner == u.ID}})
	})
}

func (s *Service) posts(ctx context.Context, u account.User, emit func(Record) error) error {
	err := s.o.Chats.EachPost(ctx, u.ID, func(p chat.Post) error {
		return emit(Record{Type: "post", Post: &Post{ID: p.ID, Time: p.Time, Text: p.Text}})
	})
	if err != nil {
		return err
	}
	err = s.o.Chats.EachComment(ctx, u.ID, func(c chat.OwnComment) error {
		return emit(Record{Type: "comment", Post: &Post{ID: c.Comment.ID, On: c.Post, Time: c.Comment.Time, Text: c.Comment.Text}})
	})
	if err != nil {
		return err
	}
	return s.o.Chats.EachLike(ctx, u.ID, func(post string) error { return emit(Record{Type: "like", Like: post}) })
}

func (s *Service) marks(ctx context.Context, u account.User, emit func(Record) error) error {
	return s.o.Chats.EachMark(ctx, u.ID, func(m chat.OwnMark) error {
		return emit(Record{Type: "read", Read: &Read{m.Room, m.Seq, m.At}})
	})
}

// messages are all that they said and all that was said to them, as far as
// anything keeps it: an inbox alone does not know what it swept, and what is
// relayed stands only in the inboxes of others.
func (s *Service) messages(ctx context.Context, u account.User, emit func(Record) error) error {
	inbox := account.Inbox(u.ID)
	for pos := uint64(0); ; {
		ms, last, err := s.o.Journal.Walk(ctx, pos, page)
		if err != nil || last == pos {
			return err
		}
		pos = last
		for _, m := range ms {
			if m.From != u.ID && m.Seq(inbox) == 0 && !called(m, u.ID) {
				continue
			}
			err := emit(Record{Type: "message", Message: &Message{m.ID, m.Time, m.Kind, m.From, m.From == u.ID, m.Data}})
			if err != nil {
				return err
			}
		}
	}
}

// called says whether a message is of a call to somebody, which is in its room
// alone.
func called(m *journal.Message, user uint64) bool {
	var d chat.CallEnded
	return m.Kind == chat.KindCall && json.Unmarshal(m.Data, &d) == nil && d.To == user
}
