package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

const (
	maxPage = 200  // messages of a page
	maxScan = 2000 // rows looked at for one
)

// Message is a message of the past as it stands now, or a call.
type Message struct {
	ID   string
	Seq  uint64 // in the room
	Time time.Time
	MessageSent
	Edited  time.Time // zero: never
	Deleted bool      // it has no text any more
	Call    *Call     // nil for a message
	Readers []uint64  // who has read it, but for who wrote it
}

// History is what was said in a place before the message with this number in
// its room (0: up to now), newest first, at most limit (and at most 200). next
// is where the page after it starts, 0 where there is no more; what is said
// meanwhile moves no page. A page may be short where much was not to be shown,
// and next still tell of more. A private room stays readable for its two people
// whatever became of them, a group for its members.
func (s *Service) History(ctx context.Context, me uint64, p Place, before uint64, limit int) (page []Message, next uint64, err error) {
	v, err := s.view(ctx, me, p)
	if err != nil || v == nil {
		return nil, 0, err
	}
	return v.page(ctx, before, limit)
}

// view is a room as one person sees it.
type view struct {
	s        *Service
	me, room uint64
	hide     map[uint64]bool // in a group; two people see what they said to each other
	cleared  uint64
	marks    []ReadMark
}

// view is nil where they have no room.
func (s *Service) view(ctx context.Context, me uint64, p Place) (_ *view, err error) {
	v := &view{s: s, me: me, room: p.Group}
	if p.Group != 0 {
		if _, err := member(ctx, s.o.Store, p.Group, me); err != nil {
			return nil, err
		}
		if v.hide, err = hidden(ctx, s.o.Store, me); err != nil {
			return nil, err
		}
	} else {
		st, err := s.Standing(ctx, me, p.User)
		if err != nil || st.Room == 0 || me == p.User {
			return nil, err
		}
		v.room = st.Room
	}
	return v, v.load(ctx)
}

// load reads what was done to the whole room.
func (v *view) load(ctx context.Context) (err error) {
	if v.cleared, err = v.s.o.Store.Cleared(ctx, v.room); err != nil {
		return err
	}
	v.marks, err = v.s.o.Store.ReadMarks(ctx, v.room)
	return err
}

// page reads rows until it has as many messages as are wanted.
func (v *view) page(ctx context.Context, before uint64, limit int) (page []Message, next uint64, err error) {
	limit = min(limit, maxPage)
	topic := RoomTopic(v.room)
	for scanned := 0; len(page) < limit && scanned < maxScan; {
		ms, err := v.s.o.Journal.ReadBefore(ctx, topic, before, max(limit-len(page), 20))
		if err != nil {
			return nil, 0, err
		}
		next = 0
		for _, m := range ms {
			seq := m.Seq(topic)
			if seq <= v.cleared || len(page) == limit {
				break
			}
			next = seq
			line, ok, err := v.line(m, seq)
			if err != nil {
				return nil, 0, err
			}
			if ok {
				page = append(page, line)
			}
		}
		before, scanned = next, scanned+len(ms)
		if next <= v.cleared+1 {
			next = 0
			break
		}
	}
	return page, next, v.overlay(ctx, page)
}

// line is a row as a message, where it is one that me sees.
func (v *view) line(m *journal.Message, seq uint64) (line Message, ok bool, err error) {
	line = Message{ID: m.ID, Seq: seq, Time: m.Time}
	switch {
	case v.hide[m.From]:
		return line, false, nil
	case m.Kind == KindMessage:
		err = json.Unmarshal(m.Data, &line.MessageSent)
	case m.Kind == KindCall:
		var d CallEnded
		err = json.Unmarshal(m.Data, &d)
		line.MessageSent, line.Call = d.MessageSent, &d.Call
	default:
		return line, false, nil
	}
	if err != nil {
		return line, false, fmt.Errorf("chat: message %s cannot be read: %w", m.ID, err)
	}
	return line, true, nil
}

// overlay puts onto a page, newest first, what became of its messages.
func (v *view) overlay(ctx context.Context, page []Message) error {
	if len(page) == 0 {
		return nil
	}
	rs, err := v.s.o.Store.Revisions(ctx, v.room, page[len(page)-1].Seq, page[0].Seq)
	if err != nil {
		return err
	}
	by := make(map[uint64]Revision, len(rs))
	for _, r := range rs {
		by[r.Seq] = r
	}
	for i := range page {
		m := &page[i]
		if r, ok := by[m.Seq]; ok {
			m.revised(r)
		}
		for _, mark := range v.marks {
			if mark.Seq >= m.Seq && mark.User != m.Sender.ID && !v.hide[mark.User] {
				m.Readers = append(m.Readers, mark.User)
			}
		}
	}
	return nil
}

// revised is the message as the revision left it.
func (m *Message) revised(r Revision) {
	m.Edited, m.Deleted, m.Text = r.Edited, r.Deleted, r.Text
	if r.Deleted {
		m.Text, m.Reply = "", ""
	}
}
