package chat

import (
	"context"
	"slices"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
)

// ReadAll marks what others said in a place until now as read by me. Where
// there is nothing new, nothing is said. In a group it says no message that is
// kept: who is there is told once the mark is durable.
func (s *Service) ReadAll(me uint64, p Place, login uint64, key journal.Key) *journal.Pending {
	// What is committed now is what me can have seen; looking for it here
	// keeps the writer free.
	upTo, last, failed := s.unread(background, me, p)
	return s.o.Journal.DoOnce(key, s.change(func(tx *journal.Tx, t Tx) ([]*journal.Message, error) {
		a, err := s.audience(background, t, me, p)
		if err != nil {
			return nil, err
		}
		if failed != nil || upTo == 0 {
			return nil, failed
		}
		return s.mark(tx, t, &a, login, upTo, last)
	}))
}

// ReadTo marks what others said in a place as read by me, up to a message of
// theirs. Where it was read already, nothing is said; see ReadAll for groups.
func (s *Service) ReadTo(me uint64, p Place, id string, login uint64, key journal.Key) *journal.Pending {
	return s.o.Journal.DoOnce(key, s.change(func(tx *journal.Tx, t Tx) ([]*journal.Message, error) {
		a, err := s.audience(background, t, me, p)
		if err != nil {
			return nil, err
		}
		m, seq, err := spoken(tx, t, &a, id)
		switch {
		case err != nil:
			return nil, err
		case m.Kind != KindMessage: // a call's record, whose id not every dialect shows
			return nil, ErrNoMessage
		case m.From == me:
			return nil, nil
		}
		return s.mark(tx, t, &a, login, seq, m.ID)
	}))
}

// mark moves the speaker's mark forward, and says so unless last is "". In a
// group everybody reads every message: as messages those would be as many as
// its members, each in all their inboxes. The mark itself is kept, and enough.
func (s *Service) mark(tx *journal.Tx, t Tx, a *audience, login, upTo uint64, last string) ([]*journal.Message, error) {
	me := a.sender.ID
	marks, err := t.ReadMarks(background, a.room)
	if err != nil || markOf(marks, me) >= upTo {
		return nil, err
	}
	if err := t.SetReadMark(background, a.room, me, upTo, tx.Now()); err != nil || last == "" {
		return nil, err
	}
	read := MessagesRead{Room: a.room, To: a.to, Group: a.group, By: a.sender, Last: last}
	inboxes := a.inboxes(account.Inbox(me))
	if a.group == nil {
		return a.message(KindRead, login, read, inboxes)
	}
	tx.After(func() { _ = s.tell(a.told(KindRead, login), read, nil, inboxes...) }) // it always encodes
	return nil, nil
}

func markOf(marks []ReadMark, user uint64) uint64 {
	if i := slices.IndexFunc(marks, func(m ReadMark) bool { return m.User == user }); i >= 0 {
		return marks[i].Seq
	}
	return 0
}

// unread finds the newest message that others said and me has not read: its
// number, and its id. Where there is none, but other rows, they are passed over
// the next time: last is "" then.
func (s *Service) unread(ctx context.Context, me uint64, p Place) (upTo uint64, last string, err error) {
	v, err := s.view(ctx, me, p)
	if err != nil || v == nil {
		return 0, "", err
	}
	topic := RoomTopic(v.room)
	head, err := s.o.Journal.Head(ctx, topic)
	if err != nil {
		return 0, "", err
	}
	read := max(markOf(v.marks, me), v.cleared)
	for before, scanned := head+1, 0; before > read+1 && scanned < maxScan; {
		ms, err := s.o.Journal.ReadBefore(ctx, topic, before, int(min(before-read-1, 50)))
		if err != nil || len(ms) == 0 {
			return 0, "", err
		}
		for _, m := range ms {
			before = m.Seq(topic)
			if _, ok, err := v.line(m, before); err != nil {
				return 0, "", err
			} else if ok && m.From != me {
				return before, m.ID, nil
			}
		}
		scanned += len(ms)
	}
	if head > read {
		upTo = head
	}
	return upTo, "", nil
}
