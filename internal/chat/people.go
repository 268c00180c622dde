package chat

import (
	"context"
	"slices"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/account"
)

// Friendship is what somebody is to another.
type Friendship uint8

// The friendships, as numbers that dialects know.
const (
	Strangers Friendship = iota
	Friends
	IAsked
	TheyAsked
)

// Person is a user as somebody else sees them (see SeenBy).
type Person struct {
	account.User
	Friend Friendship
}

func (s Standing) friendship() Friendship {
	switch {
	case s.Friends:
		return Friends
	case s.Asked:
		return IAsked
	case s.WasAsked:
		return TheyAsked
	}
	return Strangers
}

// person is a neighbour as me sees them.
func (n Neighbour) person(me uint64) Person {
	st := standing(me, n.User.ID, n.Relation.Flags, n.Relation.Room)
	return Person{visible(n.User, st.Open() || n.User.ID == me), st.friendship()}
}

// people are neighbours as me sees them, but for those who are hidden.
func people(me uint64, ns []Neighbour, hide map[uint64]bool) []Person {
	ps := make([]Person, 0, len(ns))
	for _, n := range ns {
		if !hide[n.User.ID] {
			ps = append(ps, n.person(me))
		}
	}
	return ps
}

// PersonSeenBy is a user as me sees them.
func (s *Service) PersonSeenBy(ctx context.Context, me uint64, u account.User) (Person, error) {
	if u.ID == me {
		return Person{User: visible(u, true)}, nil
	}
	st, err := s.Standing(ctx, me, u.ID)
	return Person{visible(u, st.Open()), st.friendship()}, err
}

const (
	minQuery = 2    // characters of what is searched for: one would find nearly everybody
	maxQuery = 64   // the most
	maxFound = 100  // people
	maxOver  = 1000 // people read on top of those, because some are hidden
)

// Search finds people whose handle begins with q or whose name has it, the best
// first, at most limit (and at most 100), but for me and those hidden from me.
// What is shorter than two characters finds nobody.
func (s *Service) Search(ctx context.Context, me uint64, q string, limit int) ([]Person, error) {
	limit = min(limit, maxFound)
	_, handle, name := account.User{Handle: q, Display: q}.Keys()
	if utf8.RuneCountInString(name) < minQuery || utf8.RuneCountInString(q) > maxQuery || limit < 1 {
		return nil, nil
	}
	hide, err := hidden(ctx, s.o.Store, me)
	if err != nil {
		return nil, err
	}
	ns, err := s.o.Store.Search(ctx, me, handle, name, limit+min(len(hide), maxOver))
	if err != nil {
		return nil, err
	}
	found := people(me, ns, hide)
	return found[:min(limit, len(found))], nil
}

// What bounds an overview: its chats, and about how many messages and bytes it
// has before of each chat that follows there is only the last message.
const (
	maxChats        = 500
	overviewLines   = 2000
	overviewContent = 4 << 20
)

// Chat is a place with the newest that was said in it.
type Chat struct {
	Place
	Room     uint64
	Group    *Group    // nil in a private room
	Other    *Person   // nil in a group
	Members  []Person  // of a group, but for those hidden from me (see Overview)
	Messages []Message // the oldest first

	active int64 // when something was last said, in ns; of a silent one when it began
}

// Overview is me's chats with their newest messages: friends and groups, those
// where something was said last first, at most 500. Who is hidden from me is in
// none of it. The whole is bounded: from where it is much, a chat has only its
// last message, and of a group's members who said that, its owner and me.
func (s *Service) Overview(ctx context.Context, me uint64, newest int) ([]Chat, error) {
	hide, err := hidden(ctx, s.o.Store, me)
	if err != nil {
		return nil, err
	}
	chats, err := s.places(ctx, me, hide)
	if err != nil {
		return nil, err
	}
	for i := range chats {
		if err := s.lastSaid(ctx, &chats[i]); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(chats, func(a, b Chat) int { return int(max(-1, min(1, b.active-a.active))) })
	chats = chats[:min(maxChats, len(chats))]
	left := budget{overviewLines, overviewContent}
	for i := range chats {
		c := &chats[i]
		spent := left.lines <= 0 || left.bytes <= 0
		if spent {
			newest = min(newest, 1)
		}
		if c.Group != nil {
			if c.Members, err = s.members(ctx, me, c.Group.ID, hide); err != nil {
				return nil, err
			}
		}
		v := &view{s: s, me: me, room: c.Room}
		if c.Group != nil {
			v.hide = hide
		}
		if err := v.load(ctx); err != nil {
			return nil, err
		}
		if c.Messages, _, err = v.page(ctx, 0, newest); err != nil {
			return nil, err
		}
		slices.Reverse(c.Messages)
		if spent && c.Group != nil {
			c.Members = slices.DeleteFunc(c.Members, func(p Person) bool { return p.ID != me && p.ID != c.Group.Owner && !c.says(p.ID) })
		}
		left.take(c)
	}
	return chats, nil
}

// says tells whether one of the chat's messages here is somebody's.
func (c *Chat) says(user uint64) bool {
	return slices.ContainsFunc(c.Messages, func(m Message) bool { return m.Sender.ID == user })
}

// budget is what an overview may still have.
type budget struct{ lines, bytes int }

// take takes what a chat is about, as clients get it.
func (b *budget) take(c *Chat) {
	const entry, number = 128, 20
	b.lines -= len(c.Messages)
	for i := range c.Messages {
		m := &c.Messages[i]
		b.bytes -= entry + len(m.Text) + number*len(m.Readers)
	}
	for i := range c.Members {
		p := &c.Members[i]
		b.bytes -= entry + len(p.About) + number*len(p.Badges)
	}
}

// places are all of me's chats, without what was said.
func (s *Service) places(ctx context.Context, me uint64, hide map[uint64]bool) ([]Chat, error) {
	ns, err := s.o.Store.Neighbours(ctx, me, flagFriends, flagFriends, maxList)
	if err != nil {
		return nil, err
	}
	var chats []Chat
	for _, n := range ns {
		if hide[n.User.ID] {
			continue
		}
		p := n.person(me)
		chats = append(chats, Chat{
			Place: Place{User: p.ID}, Room: n.Relation.Room, Other: &p, active: n.Relation.Since.UnixNano(),
		})
	}
	gs, err := s.o.Store.Groups(ctx, me, maxGroups)
	for _, g := range gs {
		chats = append(chats, Chat{Place: Place{Group: g.ID}, Room: g.ID, Group: &g, active: g.Created.UnixNano()})
	}
	return chats, err
}

func (s *Service) lastSaid(ctx context.Context, c *Chat) error {
	ms, err := s.o.Journal.ReadBefore(ctx, RoomTopic(c.Room), 0, 1)
	for _, m := range ms {
		c.active = m.Time.UnixNano()
	}
	return err
}
