package store

import (
	"context"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
)

// maxSenders bounds the pairs and the people that senders keeps: past it, it
// begins again.
const maxSenders = 1 << 16

// senders is what the writer has read of pairs and people for private
// messages: the same few rows decide about message after message. It holds
// what a SELECT in the open transaction would return, since the writer is the
// only one who writes: who writes one of these rows forgets it, and whoever
// takes writes back forgets everything.
type senders struct {
	pairs  map[[2]uint64]pairRow
	people map[uint64]personRow
}

type pairRow struct {
	flags chat.Flags
	room  uint64
}

type personRow struct {
	account.Profile
	suspended bool
}

func newSenders() *senders {
	s := &senders{}
	s.forget()
	return s
}

func (s *senders) forget() {
	s.pairs, s.people = map[[2]uint64]pairRow{}, map[uint64]personRow{}
}

func (s *senders) forgetPair(a, b uint64)   { delete(s.pairs, [2]uint64{a, b}) }
func (s *senders) forgetPerson(user uint64) { delete(s.people, user) }

func (s *senders) find(from, to, a, b uint64) (chat.Sender, bool) {
	pair, ok := s.pairs[[2]uint64{a, b}]
	if !ok {
		return chat.Sender{}, false
	}
	f, ok := s.people[from]
	if !ok {
		return chat.Sender{}, false
	}
	t, ok := s.people[to]
	return chat.Sender{Flags: pair.flags, Room: pair.room, Profile: f.Profile, Suspended: f.suspended, Receiver: t.Profile}, ok
}

func (s *senders) keep(from, to personRow, a, b uint64, pair pairRow) {
	if len(s.pairs) >= maxSenders {
		s.forget()
	}
	s.keepPerson(from)
	s.keepPerson(to)
	s.pairs[[2]uint64{a, b}] = pair
}

func (s *senders) keepPerson(p personRow) {
	if len(s.people) >= maxSenders {
		s.forget()
	}
	s.people[p.ID] = p
}

func (q chats) Sender(ctx context.Context, from, to, a, b uint64) (chat.Sender, bool, error) {
	if q.tx != nil {
		if s, ok := q.tx.senders.find(from, to, a, b); ok {
			return s, true, nil
		}
	}
	var f, t personRow
	var p pairRow
	ok, err := q.row(ctx, "SELECT r.flags, r.room, u.id, u.handle, u.display, u.suspended, v.id, v.handle, v.display, v.suspended"+
		" FROM relations r JOIN users u ON u.id = ? JOIN users v ON v.id = ? WHERE r.a = ? AND r.b = ?",
		[]any{from, to, a, b}, &p.flags, &p.room, &f.ID, &f.Handle, &f.Name, &f.suspended, &t.ID, &t.Handle, &t.Name, &t.suspended)
	if err != nil || !ok {
		return chat.Sender{}, false, err
	}
	if q.tx != nil {
		q.tx.senders.keep(f, t, a, b, p)
	}
	return chat.Sender{Flags: p.flags, Room: p.room, Profile: f.Profile, Suspended: f.suspended, Receiver: t.Profile}, true, nil
}

func (q chats) Suspended(ctx context.Context, user uint64) (suspended, ok bool, err error) {
	if q.tx != nil {
		if p, ok := q.tx.senders.people[user]; ok {
			return p.suspended, true, nil
		}
	}
	var p personRow
	ok, err = q.row(ctx, "SELECT id, handle, display, suspended FROM users WHERE id = ?", []any{user}, &p.ID, &p.Handle, &p.Name, &p.suspended)
	if err != nil || !ok {
		return false, false, err
	}
	if q.tx != nil {
		q.tx.senders.keepPerson(p)
	}
	return p.suspended, true, nil
}
