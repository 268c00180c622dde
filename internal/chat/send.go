package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
)

// Outgoing is a private message on its way. The longest text is the gateway's
// to say.
type Outgoing struct {
	From, To uint64
	Login    uint64 // whose sessions do not hear it, 0 for none
	Text     string
}

// Send says something to a friend. Done, it is durable; with a key (see
// journal.Key) it is said once however often it is handed over.
func (s *Service) Send(m Outgoing, key journal.Key) *journal.Pending {
	return s.o.Journal.DoOnce(key, &send{Outgoing: m, store: s.o.Store})
}

// send is the one change that must be cheap: a query, and an appended row.
type send struct {
	Outgoing
	store Store
}

// Apply checks that they may, and says it.
func (m *send) Apply(tx *journal.Tx) ([]*journal.Message, error) {
	switch {
	case m.Text == "":
		return nil, ErrTextRequired
	case !utf8.ValidString(m.Text):
		return nil, ErrTextInvalid
	case m.From == m.To:
		return nil, ErrNotFriends
	}
	a, b := pair(m.From, m.To)
	from, ok, err := m.store.In(tx).Sender(background, m.From, a, b)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, ErrNotFriends
	case from.Suspended:
		return nil, account.ErrSuspended
	}
	switch st := standing(m.From, m.To, from.Flags, from.Room); {
	case !st.Friends:
		return nil, ErrNotFriends
	case st.Blocks:
		return nil, ErrBlocking
	case st.BlocksMe:
		return nil, ErrBlocked
	}
	data, err := json.Marshal(MessageSent{Room: from.Room, To: m.To, Text: m.Text, Sender: from.Profile})
	return []*journal.Message{{
		Kind: KindMessage, From: m.From, Except: m.Login, Data: data,
		Entries: journal.To(RoomTopic(from.Room), account.Inbox(m.To), account.Inbox(m.From)),
	}}, err
}

// Message is a message of the past.
type Message struct {
	ID   string
	Seq  uint64 // in the room
	Time time.Time
	MessageSent
}

// History is what me and other said to each other before the message with this
// number in their room (0: up to now), newest first, at most limit. next is
// where the page after it starts, 0 where there is no more; what is said
// meanwhile moves no page. A room stays readable for its two people whatever
// became of them; those who never were friends have none.
func (s *Service) History(ctx context.Context, me, other, before uint64, limit int) (page []Message, next uint64, err error) {
	if me == other {
		return nil, 0, nil
	}
	st, err := s.Standing(ctx, me, other)
	if err != nil || st.Room == 0 {
		return nil, 0, err
	}
	topic := RoomTopic(st.Room)
	ms, err := s.o.Journal.ReadBefore(ctx, topic, before, limit)
	if err != nil || len(ms) == 0 {
		return nil, 0, err
	}
	page = make([]Message, 0, len(ms))
	for _, m := range ms {
		next = m.Seq(topic)
		if m.Kind != KindMessage {
			continue
		}
		line := Message{ID: m.ID, Seq: next, Time: m.Time}
		if err := json.Unmarshal(m.Data, &line.MessageSent); err != nil {
			return nil, 0, fmt.Errorf("chat: message %s cannot be read: %w", m.ID, err)
		}
		page = append(page, line)
	}
	if next == 1 {
		next = 0
	}
	return page, next, nil
}
