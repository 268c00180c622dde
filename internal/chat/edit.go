package chat

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// editFor is how long a message can be edited.
const editFor = 15 * time.Minute

// Edit gives a message of mine another text, for 15 minutes. login is whose
// sessions do not hear of it, 0 for none.
func (s *Service) Edit(ctx context.Context, me uint64, p Place, id, text string, login uint64) (Message, error) {
	if err := checkText(text); err != nil {
		return Message{}, err
	}
	return s.revise(ctx, me, p, id, login, func(tx *journal.Tx, m *Message) (kind string, err error) {
		now := tx.Now()
		if s.o.Now != nil {
			now = s.o.Now()
		}
		switch {
		case m.Deleted:
			return "", ErrEditDeleted
		case now.Sub(m.Time) > editFor:
			return "", ErrEditExpired
		}
		m.Text, m.Edited = text, tx.Now()
		return KindEdited, nil
	})
}

// Delete takes the text of a message of mine away. Deleting twice is deleting
// once.
func (s *Service) Delete(ctx context.Context, me uint64, p Place, id string, login uint64) (Message, error) {
	return s.revise(ctx, me, p, id, login, func(_ *journal.Tx, m *Message) (kind string, err error) {
		if m.Deleted {
			return "", nil
		}
		m.Text, m.Reply, m.Edited, m.Deleted = "", "", time.Time{}, true
		return KindDeleted, nil
	})
}

// revise changes a message of me's in a place. rule gets it as it stands,
// changes it, and returns the kind of message that this makes, "" for none.
func (s *Service) revise(ctx context.Context, me uint64, p Place, id string, login uint64, rule func(tx *journal.Tx, m *Message) (kind string, err error)) (Message, error) {
	for {
		said, err := s.wordings(ctx, id)
		if err != nil {
			return Message{}, err
		}
		m, err := s.reviseKnown(ctx, me, p, id, login, said, rule)
		if !errors.Is(err, errEditedMeanwhile) {
			return m, err
		}
	}
}

func (s *Service) reviseKnown(ctx context.Context, me uint64, p Place, id string, login uint64, said wordings, rule func(tx *journal.Tx, m *Message) (kind string, err error)) (Message, error) {
	var m Message
	_, err := s.do(ctx, func(tx *journal.Tx, t Tx) ([]*journal.Message, error) {
		a, err := s.audience(background, t, me, p)
		if err != nil {
			return nil, err
		}
		if m, err = mine(tx, t, &a, id); err != nil {
			return nil, err
		}
		if !m.Edited.Equal(said.edited) {
			return nil, errEditedMeanwhile
		}
		kind, err := rule(tx, &m)
		if err != nil || kind == "" {
			return nil, err
		}
		err = t.SetRevision(background, Revision{Room: a.room, Seq: m.Seq, Text: m.Text, Edited: m.Edited, Deleted: m.Deleted})
		if err != nil {
			return nil, err
		}
		if err := said.replace(tx, m.ID, m.Text, m.Reply); err != nil {
			return nil, err
		}
		m.MessageSent = a.sent(m.Text, m.Reply)
		return a.say(kind, login, MessageEdited{MessageSent: m.MessageSent, Of: m.ID, Sent: m.Time})
	})
	if err != nil {
		return Message{}, err
	}
	return m, nil
}

// mine is a message that the sender said in this room, as it stands.
func mine(tx *journal.Tx, t Tx, a *audience, id string) (Message, error) {
	said, seq, err := spoken(tx, t, a, id)
	if err != nil {
		return Message{}, err
	}
	m := Message{ID: said.ID, Seq: seq, Time: said.Time}
	switch {
	case said.Kind != KindMessage:
		return m, ErrNoMessage
	case said.From != a.sender.ID:
		return m, ErrEditOther
	}
	if err := json.Unmarshal(said.Data, &m.MessageSent); err != nil {
		return m, err
	}
	r, ok, err := t.Revision(background, a.room, m.Seq)
	if ok {
		m.revised(r)
	}
	return m, err
}

// Clear hides all that was said in a place until now: a private room's for
// both, a group's for all, by its owner.
func (s *Service) Clear(ctx context.Context, me uint64, p Place, login uint64) error {
	_, err := s.do(ctx, func(tx *journal.Tx, t Tx) ([]*journal.Message, error) {
		a, err := s.audience(background, t, me, p)
		if err != nil {
			return nil, err
		}
		if a.group != nil && !a.owner {
			return nil, ErrNotOwner
		}
		head, err := tx.Head(RoomTopic(a.room))
		if err != nil {
			return nil, err
		}
		if err := t.SetCleared(background, a.room, head); err != nil {
			return nil, err
		}
		return a.say(KindCleared, login, RoomEvent{Room: a.room, To: a.to, Group: a.group, By: a.sender})
	})
	return err
}
