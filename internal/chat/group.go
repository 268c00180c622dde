package chat

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

const (
	maxGroups = 200 // that one person is in: the first page shows them all
	maxLink   = 64  // bytes of what is looked up as one
)

// Group is a room of many. Its Link is for its members' eyes.
type Group struct {
	ID      uint64
	Name    string // clean, at most 35 characters
	Owner   uint64
	Link    string // the invitation: 128 bits that nobody guesses
	Created time.Time
	Members int
}

func (g Group) profile() *GroupProfile { return &GroupProfile{ID: g.ID, Name: g.Name, Owner: g.Owner} }

func cleanGroupName(name string) (string, error) {
	name, err := account.CleanName(name)
	if err == nil && name == "" {
		err = status.Errorf(status.Invalid, "NAME_REQUIRED", "the name is empty")
	}
	return name, err
}

// CreateGroup makes a group with me as its owner and only member.
func (s *Service) CreateGroup(ctx context.Context, me uint64, name string) (Group, error) {
	name, err := cleanGroupName(name)
	if err != nil {
		return Group{}, err
	}
	var g Group
	_, err = s.do(ctx, func(tx *journal.Tx, t Tx) ([]*journal.Message, error) {
		if _, err := active(t, me); err != nil {
			return nil, err
		}
		if err := roomForAnother(t, me); err != nil {
			return nil, err
		}
		id, err := t.NextID(background)
		if err != nil {
			return nil, err
		}
		g = Group{ID: id, Name: name, Owner: me, Link: rand.Text(), Created: tx.Now().Truncate(time.Millisecond), Members: 1}
		if err := t.SetGroup(background, g); err != nil {
			return nil, err
		}
		return nil, t.AddMember(background, id, me, tx.Now())
	})
	if err != nil {
		return Group{}, err
	}
	return g, nil
}

func roomForAnother(t Tx, me uint64) error {
	n, err := t.CountGroups(background, me)
	if err == nil && n >= maxGroups {
		err = ErrTooManyGroups
	}
	return err
}

// Group is the group with this id, or ErrNoRoom. Who may see its link is the
// caller's to ask.
func (s *Service) Group(ctx context.Context, id uint64) (Group, error) {
	g, ok, err := s.o.Store.Group(ctx, id)
	if err == nil && !ok {
		err = ErrNoRoom
	}
	return g, err
}

// GroupByLink is the group that a link invites to, and whether me is in it
// already; ErrNoInvite where it invites to nothing, or me to nothing: who
// blocks a group's owner, or is blocked, finds no such invitation.
func (s *Service) GroupByLink(ctx context.Context, me uint64, link string) (g Group, joined bool, err error) {
	if link == "" || len(link) > maxLink {
		return Group{}, false, ErrNoInvite
	}
	g, ok, err := s.o.Store.GroupByLink(ctx, link)
	if err != nil {
		return Group{}, false, err
	}
	if !ok {
		return Group{}, false, ErrNoInvite
	}
	m, ok, err := s.o.Store.Member(ctx, g.ID, me)
	if err != nil || !ok {
		return Group{}, false, noInvite(err)
	}
	if m.In {
		return g, true, nil
	}
	hide, err := hidden(ctx, s.o.Store, me)
	if err != nil || hide[g.Owner] {
		return Group{}, false, noInvite(err)
	}
	return g, false, nil
}

// noInvite is err, or that there is no such invitation.
func noInvite(err error) error {
	if err == nil {
		err = ErrNoInvite
	}
	return err
}

// Members are a group's members as me sees them, the eldest membership first,
// but for those who are hidden from me.
func (s *Service) Members(ctx context.Context, me, group uint64) ([]Person, error) {
	if _, err := member(ctx, s.o.Store, group, me); err != nil {
		return nil, err
	}
	hide, err := hidden(ctx, s.o.Store, me)
	if err != nil {
		return nil, err
	}
	return s.members(ctx, me, group, hide)
}

func (s *Service) members(ctx context.Context, me, group uint64, hide map[uint64]bool) ([]Person, error) {
	ns, err := s.o.Store.Members(ctx, group, me)
	return people(me, ns, hide), err
}

// membership changes who belongs to a group. f gets me as a member of it and
// returns the one that the message of this kind is about; it hears it too.
func (s *Service) membership(ctx context.Context, me, group uint64, kind string, f func(tx *journal.Tx, t Tx, m *Member) (account.Profile, error)) (Group, error) {
	var g Group
	_, err := s.do(ctx, func(tx *journal.Tx, t Tx) ([]*journal.Message, error) {
		m, ok, err := t.Member(background, group, me)
		switch {
		case err != nil:
			return nil, err
		case !ok:
			return nil, ErrNoRoom
		case m.Suspended:
			return nil, account.ErrSuspended
		}
		user, err := f(tx, t, &m)
		g = m.Group
		if err != nil || user.ID == 0 {
			return nil, err
		}
		a := audience{room: group, sender: m.Profile, group: g.profile()}
		if a.hearers, err = hearers(background, t, group, me, user.ID); err != nil {
			return nil, err
		}
		if user.ID != me {
			a.hearers = append(a.hearers, user.ID)
		}
		return a.say(kind, 0, MemberEvent{Group: *a.group, User: user, By: m.Profile})
	})
	if err != nil {
		return Group{}, err
	}
	return g, nil
}

// Join brings me into a group by its link. Who is in it already stays so.
func (s *Service) Join(ctx context.Context, me, group uint64, link string) (Group, error) {
	return s.membership(ctx, me, group, KindJoined, func(tx *journal.Tx, t Tx, m *Member) (account.Profile, error) {
		nobody := account.Profile{}
		hide, err := hidden(background, t, me)
		switch {
		case err != nil:
			return nobody, err
		case m.In:
			return nobody, nil
		case subtle.ConstantTimeCompare([]byte(link), []byte(m.Group.Link)) == 0, hide[m.Group.Owner]:
			return nobody, ErrNoInvite
		case m.Kicked:
			return nobody, ErrKicked
		case m.Group.Members >= s.o.MaxMembers:
			return nobody, ErrFull
		}
		if err := roomForAnother(t, me); err != nil {
			return nobody, err
		}
		m.Group.Members++
		return m.Profile, t.AddMember(background, group, me, tx.Now())
	})
}

// Leave takes me out of a group. An owner who leaves hands it over to the
// eldest member; the last one out closes it.
func (s *Service) Leave(ctx context.Context, me, group uint64) error {
	_, err := s.membership(ctx, me, group, KindLeft, func(_ *journal.Tx, t Tx, m *Member) (account.Profile, error) {
		if !m.In {
			return account.Profile{}, ErrNotMember
		}
		return m.Profile, depart(t, m, me)
	})
	return err
}

// depart takes somebody out of a group, and gives it to another owner or to
// nobody.
func depart(t Tx, m *Member, user uint64) error {
	g := &m.Group
	g.Members--
	if err := t.DropMember(background, g.ID, user); err != nil {
		return err
	}
	ids, err := t.MemberIDs(background, g.ID)
	switch {
	case err != nil:
		return err
	case len(ids) == 0:
		return t.DropGroup(background, g.ID)
	case g.Owner == user:
		g.Owner = ids[0]
		return t.SetGroup(background, *g)
	}
	return nil
}

// Kick takes somebody out of me's group, who cannot come back by the same link.
func (s *Service) Kick(ctx context.Context, me, group, user uint64) error {
	_, err := s.membership(ctx, me, group, KindKicked, func(_ *journal.Tx, t Tx, m *Member) (account.Profile, error) {
		if err := owns(m); err != nil {
			return account.Profile{}, err
		}
		if me == user {
			return account.Profile{}, ErrSelf
		}
		other, ok, err := t.Member(background, group, user)
		if err == nil && (!ok || !other.In) {
			err = ErrNotMember
		}
		if err != nil {
			return account.Profile{}, err
		}
		if err := t.Kick(background, group, user); err != nil {
			return account.Profile{}, err
		}
		return other.Profile, depart(t, m, user)
	})
	return err
}

func owns(m *Member) error {
	switch {
	case m.Kicked:
		return ErrKicked
	case !m.In:
		return ErrNotMember
	case m.Group.Owner != m.Profile.ID:
		return ErrNotOwner
	}
	return nil
}

// ResetLink gives me's group a new link. The old one invites nobody any more,
// and who had to go may come back by the new one.
func (s *Service) ResetLink(ctx context.Context, me, group uint64) (Group, error) {
	return s.membership(ctx, me, group, "", func(_ *journal.Tx, t Tx, m *Member) (account.Profile, error) {
		if err := owns(m); err != nil {
			return account.Profile{}, err
		}
		m.Group.Link = rand.Text()
		if err := t.Forgive(background, group); err != nil {
			return account.Profile{}, err
		}
		return account.Profile{}, t.SetGroup(background, m.Group)
	})
}

// Rename gives me's group another name.
func (s *Service) Rename(ctx context.Context, me, group uint64, name string) (Group, error) {
	name, err := cleanGroupName(name)
	if err != nil {
		return Group{}, err
	}
	return s.membership(ctx, me, group, "", func(_ *journal.Tx, t Tx, m *Member) (account.Profile, error) {
		if err := owns(m); err != nil {
			return account.Profile{}, err
		}
		m.Group.Name = name
		return account.Profile{}, t.SetGroup(background, m.Group)
	})
}
