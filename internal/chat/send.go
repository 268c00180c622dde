package chat

import (
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
)

// maxText is the longest text of a message in bytes: what a gateway allows is
// less.
const maxText = 16 << 10

// Outgoing is a message on its way, to a friend or into a group. The longest
// text is the gateway's to say.
type Outgoing struct {
	From, To, Group uint64
	Login           uint64 // whose sessions do not hear it, 0 for none
	Text            string
	Reply           string // the id of the message that it answers, "" for none
}

// Send says something to a friend or a group. Done, it is durable; with a key
// (see journal.Key) it is said once however often it is handed over.
func (s *Service) Send(m Outgoing, key journal.Key) *journal.Pending {
	return s.o.Journal.DoOnce(key, &send{Outgoing: m, s: s})
}

// sentSize is about how much a private message's Data has besides its text.
const sentSize = 192

// send is the one change that must be cheap: to a friend it is a query, and an
// appended row.
type send struct {
	Outgoing
	s *Service
}

func checkText(text string) error {
	switch {
	case text == "":
		return ErrTextRequired
	case len(text) > maxText:
		return ErrTextTooLong
	case !utf8.ValidString(text):
		return ErrTextInvalid
	}
	return nil
}

// Apply checks that they may, and says it.
func (m *send) Apply(tx *journal.Tx) ([]*journal.Message, error) {
	if err := checkText(m.Text); err != nil {
		return nil, err
	}
	t := m.s.o.Store.In(tx)
	if m.Group == 0 && m.Reply == "" {
		return m.private(t)
	}
	a, err := m.s.audience(background, t, m.From, Place{m.To, m.Group})
	if err != nil {
		return nil, err
	}
	if m.Reply != "" {
		if _, _, err := spoken(tx, t, &a, m.Reply); err != nil {
			return nil, err
		}
	}
	return a.say(KindMessage, m.Login, a.sent(m.Text, m.Reply))
}

func (m *send) private(t Tx) ([]*journal.Message, error) {
	from, err := private(background, t, m.From, m.To)
	if err != nil {
		return nil, err
	}
	data := MessageSent{Room: from.Room, To: m.To, Text: m.Text, Sender: from.Profile, Receiver: &from.Receiver}
	return []*journal.Message{{
		Kind: KindMessage, From: m.From, Except: m.Login, Data: data.appendJSON(make([]byte, 0, sentSize+len(m.Text))),
		Entries: journal.To(RoomTopic(from.Room), account.Inbox(m.To), account.Inbox(m.From)),
	}}, nil
}

// spoken is a message of a room that the speaker can see, and its number there.
func spoken(tx *journal.Tx, t Tx, a *audience, id string) (*journal.Message, uint64, error) {
	m, err := tx.Find(id)
	if err != nil {
		return nil, 0, err
	}
	if m.Kind != KindMessage && m.Kind != KindCall {
		return nil, 0, ErrNoMessage
	}
	cleared, err := t.Cleared(background, a.room)
	if err != nil {
		return nil, 0, err
	}
	seq := m.Seq(RoomTopic(a.room))
	if seq <= cleared { // 0: it was said elsewhere
		return nil, 0, ErrNoMessage
	}
	if a.group != nil {
		hide, err := hidden(background, t, a.sender.ID)
		if err != nil {
			return nil, 0, err
		}
		if hide[m.From] {
			return nil, 0, ErrNoMessage
		}
	}
	return m, seq, nil
}
