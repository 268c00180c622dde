package chat

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strconv"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// maxPayload is how many bytes clients may pass on in words of their own.
const maxPayload = 64 << 10

// RelayOut is something in a client's own words on its way.
type RelayOut struct {
	From, Login uint64
	Place
	Payload json.RawMessage
}

func checkPayload(p json.RawMessage) error {
	if len(p) > maxPayload || !json.Valid(p) {
		return ErrPayloadInvalid
	}
	return nil
}

// Relay passes something on to a friend or a group's other members. It is kept
// like a message, in their inboxes alone; with a key it is passed on once.
func (s *Service) Relay(m RelayOut, key journal.Key) *journal.Pending {
	return s.o.Journal.DoOnce(key, s.change(func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		if err := checkPayload(m.Payload); err != nil {
			return nil, err
		}
		a, err := s.audience(background, t, m.From, m.Place)
		if err != nil {
			return nil, err
		}
		return a.message(KindRelayed, m.Login, Relayed{To: a.to, Group: a.group, Payload: m.Payload}, a.inboxes())
	}))
}

// RelayVolatile passes something on to those who are there, and keeps nothing.
func (s *Service) RelayVolatile(ctx context.Context, m RelayOut) error {
	if err := checkPayload(m.Payload); err != nil {
		return err
	}
	a, err := s.audience(ctx, s.o.Store, m.From, m.Place)
	if err != nil {
		return err
	}
	return s.tell(a.told(KindRelayed, m.Login), Relayed{To: a.to, Group: a.group, Payload: m.Payload}, nil, a.inboxes()...)
}

// told begins a message that is not kept. Its id is like no other, and none of
// the journal's.
func (a *audience) told(kind string, login uint64) *journal.Message {
	return &journal.Message{ID: rand.Text(), Kind: kind, From: a.sender.ID, Except: login}
}

// Typing tells the others in a place that me is writing.
func (s *Service) Typing(ctx context.Context, me uint64, p Place, login uint64) error {
	a, err := s.audience(ctx, s.o.Store, me, p)
	if err != nil {
		return err
	}
	return s.tell(a.told(KindTyping, login), Typing{By: a.sender, To: a.to, Group: a.group}, nil, a.inboxes(RoomTopic(a.room))...)
}

// Signal tells a friend a step of a call. then, which may be nil and must not
// wait, gets how many of the friend's sessions heard it.
func (s *Service) Signal(ctx context.Context, me, to uint64, payload json.RawMessage, login uint64, then func(heard int)) error {
	if err := checkPayload(payload); err != nil {
		return err
	}
	a, err := s.audience(ctx, s.o.Store, me, Place{User: to})
	if err != nil {
		return err
	}
	return s.tell(a.told(KindSignal, login), Signal{By: a.sender, Payload: payload}, then, account.Inbox(to))
}

// EndCall tells somebody that a call is over, with who is no friend of theirs any
// more, or hidden from them: it says nothing of the other one.
func (s *Service) EndCall(to uint64, payload json.RawMessage) error {
	if err := checkPayload(payload); err != nil {
		return err
	}
	return s.tell((&audience{}).told(KindSignal, 0), Signal{Payload: payload}, nil, account.Inbox(to))
}

const (
	maxCallKey = 128           // bytes
	maxCall    = 7 * 24 * 3600 // seconds: a longer one is a mistake
)

// RecordCall puts a call from one friend to another into their room's record,
// once for each call's key. They were friends when it began: whatever is between
// them by now, it was.
func (s *Service) RecordCall(ctx context.Context, from, to uint64, c Call) error {
	if c.Key == "" || len(c.Key) > maxCallKey || c.Seconds < -1 || c.Seconds > maxCall {
		return status.Errorf(status.Invalid, "CALL_INVALID", "a call has a key of at most %d bytes, and at most %d seconds", maxCallKey, maxCall)
	}
	key := journal.Key{Scope: "call/" + strconv.FormatUint(from, 10) + "/" + strconv.FormatUint(to, 10), Ref: c.Key}
	_, err := s.o.Journal.DoOnce(key, s.change(func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		one, other := pair(from, to)
		two, ok, err := t.Sender(background, from, to, one, other)
		if err == nil && (!ok || two.Room == 0) {
			err = ErrNotFriends
		}
		if err != nil {
			return nil, err
		}
		a := audience{room: two.Room, to: to, sender: two.Profile, receiver: &two.Receiver}
		return a.message(KindCall, 0, CallEnded{MessageSent: a.sent("", ""), Call: c}, []string{RoomTopic(a.room)})
	})).Wait(ctx)
	return err
}
