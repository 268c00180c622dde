package chat

import (
	"context"
	"encoding/json"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
)

// Place is where somebody says something: one of the two is set.
type Place struct {
	User  uint64 // the private room with that person
	Group uint64
}

// PlaceOf is the place that an id names, a person's or a group's, or ErrNoRoom.
func (s *Service) PlaceOf(ctx context.Context, id uint64) (Place, error) {
	if _, ok, err := s.o.Store.User(ctx, id); err != nil || ok {
		return Place{User: id}, err
	}
	_, ok, err := s.o.Store.Group(ctx, id)
	if err == nil && !ok {
		err = ErrNoRoom
	}
	if err != nil {
		return Place{}, err
	}
	return Place{Group: id}, nil
}

// hidden is who does not hear me, and whom I do not hear: one of the two blocks
// the other. It is the one rule about this for all that is not between two
// people alone, where it stands in the pair's row (see Standing.Open).
func hidden(ctx context.Context, r Reader, me uint64) (map[uint64]bool, error) {
	ids, err := r.Hidden(ctx, me)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	set := make(map[uint64]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set, nil
}

// audience is a place as one person speaks in it.
type audience struct {
	room     uint64
	to       uint64 // in a private room
	sender   account.Profile
	receiver *account.Profile
	group    *GroupProfile
	owner    bool     // the sender owns the group
	hearers  []uint64 // but for the sender
}

// audience is who hears me in a place, or why I may not speak there.
func (s *Service) audience(ctx context.Context, r Reader, me uint64, p Place) (audience, error) {
	if p.Group != 0 {
		return groupAudience(ctx, r, me, p.Group)
	}
	from, err := private(ctx, r, me, p.User)
	if err != nil {
		return audience{}, err
	}
	return audience{
		room: from.Room, to: p.User, sender: from.Profile, receiver: &from.Receiver, hearers: []uint64{p.User},
	}, nil
}

// private is what me needs to write to somebody, or why they may not: it is the
// one query of a private message.
func private(ctx context.Context, r Reader, me, to uint64) (Sender, error) {
	if me == to {
		return Sender{}, ErrNotFriends
	}
	a, b := pair(me, to)
	from, ok, err := r.Sender(ctx, me, to, a, b)
	switch {
	case err != nil:
		return from, err
	case !ok:
		return from, ErrNotFriends
	case from.Suspended:
		return from, account.ErrSuspended
	}
	switch st := standing(me, to, from.Flags, from.Room); {
	case !st.Friends:
		return from, ErrNotFriends
	case st.Blocks:
		return from, ErrBlocking
	case st.BlocksMe:
		return from, ErrBlocked
	}
	return from, nil
}

// member is somebody who belongs to a group, or why they do not.
func member(ctx context.Context, r Reader, group, user uint64) (Member, error) {
	m, ok, err := r.Member(ctx, group, user)
	switch {
	case err != nil:
		return m, err
	case !ok:
		return m, ErrNoRoom
	case m.Kicked:
		return m, ErrKicked
	case !m.In:
		return m, ErrNotMember
	}
	return m, nil
}

func groupAudience(ctx context.Context, r Reader, me, group uint64) (audience, error) {
	m, err := member(ctx, r, group, me)
	if err != nil {
		return audience{}, err
	}
	if m.Suspended {
		return audience{}, account.ErrSuspended
	}
	a := audience{room: group, sender: m.Profile, group: m.Group.profile(), owner: m.Group.Owner == me}
	a.hearers, err = hearers(ctx, r, group, me)
	return a, err
}

// hearers are a group's members who hear somebody, but for themselves.
func hearers(ctx context.Context, r Reader, group uint64, by ...uint64) ([]uint64, error) {
	ids, err := r.MemberIDs(ctx, group)
	if err != nil {
		return nil, err
	}
	for _, id := range by {
		hide, err := hidden(ctx, r, id)
		if err != nil {
			return nil, err
		}
		kept := ids[:0]
		for _, other := range ids {
			if other != id && !hide[other] {
				kept = append(kept, other)
			}
		}
		ids = kept
	}
	return ids, nil
}

func (a *audience) sent(text, reply string) MessageSent {
	return MessageSent{
		Room: a.room, To: a.to, Text: text, Sender: a.sender, Receiver: a.receiver, Group: a.group, Reply: reply,
	}
}

// inboxes are the topics of who hears it, after those given.
func (a *audience) inboxes(topics ...string) []string {
	for _, id := range a.hearers {
		topics = append(topics, account.Inbox(id))
	}
	return topics
}

// say makes the one message of a change: to the room's record, to all who hear
// the sender, and to the sender's own devices but for the login it came from.
func (a *audience) say(kind string, login uint64, data any) ([]*journal.Message, error) {
	return a.message(kind, login, data, a.inboxes(RoomTopic(a.room), account.Inbox(a.sender.ID)))
}

func (a *audience) message(kind string, login uint64, data any, topics []string) ([]*journal.Message, error) {
	b, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	return []*journal.Message{{Kind: kind, From: a.sender.ID, Except: login, Data: b, Entries: journal.To(topics...)}}, nil
}

// tell says to topics what is not kept.
func (s *Service) tell(m *journal.Message, data any, then func(heard int), topics ...string) error {
	b, err := json.Marshal(data)
	if err != nil {
		return err
	}
	m.Time, m.Data = time.Now().UTC(), b
	if s.o.Hub == nil {
		if then != nil {
			then(0)
		}
		return nil
	}
	for _, topic := range topics {
		s.o.Hub.Tell(topic, m, then)
	}
	return nil
}

// change is a change with its port.
func (s *Service) change(f func(tx *journal.Tx, t Tx) ([]*journal.Message, error)) journal.ChangeFunc {
	return func(tx *journal.Tx) ([]*journal.Message, error) { return f(tx, s.o.Store.In(tx)) }
}

// do hands a change over and waits for it.
func (s *Service) do(ctx context.Context, f func(tx *journal.Tx, t Tx) ([]*journal.Message, error)) (journal.Result, error) {
	return s.o.Journal.Do(s.change(f)).Wait(ctx)
}
