package chat

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// Receipt is what is known of a message and one person to whom it was said.
type Receipt struct {
	User      uint64
	Delivered bool      // one of their devices has acknowledged it, or they have read it
	Read      bool      // their read mark stands at it or behind it
	ReadAt    time.Time // zero: not read, or marked with a later message, which does not tell when
}

// Receipts are those of a message: of everybody who has it in their inbox but
// who said it, who alone may ask; nobody in particular (0) may as well. Whoever
// is hidden from them is left out: people of whom one blocks the other hear
// nothing of each other. Delivered is what was acknowledged, up to a second
// ago; a device that comes back without asking for what it missed acknowledges
// that too.
func (s *Service) Receipts(ctx context.Context, me uint64, id string) (*journal.Message, []Receipt, error) {
	m, err := s.o.Journal.Find(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if m.Kind != KindMessage || me != 0 && m.From != me {
		return nil, nil, ErrNoMessage
	}
	d, err := ReadMessage(m.Data)
	if err != nil {
		return nil, nil, err
	}
	var hide map[uint64]bool
	if me != 0 {
		if hide, err = hidden(ctx, s.o.Store, me); err != nil {
			return nil, nil, err
		}
	}
	marks, err := s.o.Store.ReadMarks(ctx, d.Room)
	if err != nil {
		return nil, nil, err
	}
	var all []Receipt
	for _, e := range m.Entries {
		name, inbox := strings.CutPrefix(e.Topic, inboxPrefix)
		user, err := strconv.ParseUint(name, 10, 64)
		if !inbox || err != nil || user == m.From || hide[user] {
			continue
		}
		r := Receipt{User: user}
		for _, mark := range marks {
			if seq := m.Seq(RoomTopic(d.Room)); mark.User == user && mark.Seq >= seq {
				r.Read, r.Delivered = true, true
				if mark.Seq == seq {
					r.ReadAt = mark.At
				}
			}
		}
		if !r.Delivered {
			upTo, err := s.o.Store.Delivered(ctx, user)
			if err != nil {
				return nil, nil, err
			}
			r.Delivered = upTo >= e.Seq
		}
		all = append(all, r)
	}
	return m, all, nil
}
