package chat

import (
	"context"
	"encoding/json"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
)

// act changes what stands between me and other. rule gets it as it is, changes
// it, and returns the kind of message that this makes, "" for none.
func (s *Service) act(ctx context.Context, me, other uint64, rule func(t Tx, st *Standing) (kind string, err error)) error {
	_, err := s.o.Journal.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		if me == other {
			return nil, ErrSelf
		}
		t := s.o.Store.In(tx)
		by, err := profile(t, me)
		if err != nil {
			return nil, err
		}
		about, err := profile(t, other)
		if err != nil {
			return nil, err
		}
		was, err := read(background, t, me, other)
		if err != nil {
			return nil, err
		}
		st := was
		kind, err := rule(t, &st)
		if err != nil || st == was {
			return nil, err
		}
		if err := write(tx, t, me, other, st); err != nil {
			return nil, err
		}
		if was.Friends && st.Friends && was.Open() != st.Open() {
			tx.After(func() { s.online.between(me, other, st.Open()) })
		}
		if kind == "" {
			return nil, nil
		}
		data, err := json.Marshal(FriendEvent{By: by, User: about, Room: st.Room})
		return []*journal.Message{{
			Kind: kind, From: me, Entries: journal.To(account.Inbox(me), account.Inbox(other)), Data: data,
		}}, err
	})).Wait(ctx)
	return err
}

func profile(t Tx, id uint64) (account.Profile, error) {
	u, err := user(t, id)
	return u.Profile(), err
}

func user(t Tx, id uint64) (account.User, error) {
	u, ok, err := t.User(background, id)
	if err == nil && (!ok || u.Erased) {
		err = account.ErrUserNotFound
	}
	return u, err
}

// active is a user who may say things.
func active(t Tx, id uint64) (account.User, error) {
	u, err := user(t, id)
	if err == nil && u.Suspended {
		err = account.ErrSuspended
	}
	return u, err
}

// write keeps a standing; of strangers who never had a room nothing is kept.
func write(tx *journal.Tx, t Tx, me, other uint64, st Standing) error {
	r := Relation{Flags: st.flags(me, other), Room: st.Room, Since: tx.Now()}
	r.A, r.B = pair(me, other)
	if r.Flags == 0 && r.Room == 0 {
		return t.DropRelation(background, r.A, r.B)
	}
	return t.SetRelation(background, r)
}

// Request asks other to be friends. Where other had asked me, that is a yes:
// accepted is true, and the message is friend.accepted.
func (s *Service) Request(ctx context.Context, me, other uint64) (accepted bool, err error) {
	var yes bool
	err = s.act(ctx, me, other, func(t Tx, st *Standing) (string, error) {
		switch {
		case st.Friends:
			return "", ErrAlreadyFriend
		case st.Asked:
			return "", ErrAlreadyRequested
		case st.Blocks:
			return "", ErrBlocking
		case st.BlocksMe:
			return "", ErrBlocked
		case st.WasAsked:
			yes = true
			return KindAccepted, befriend(t, st)
		}
		st.Asked = true
		return KindRequested, nil
	})
	if err != nil {
		return false, err
	}
	return yes, nil
}

// befriend answers a request with yes, and makes the room the first time.
func befriend(t Tx, st *Standing) (err error) {
	st.Friends, st.Asked, st.WasAsked = true, false, false
	if st.Room == 0 {
		st.Room, err = t.NextID(background)
	}
	return err
}

// Accept says yes to other's request.
func (s *Service) Accept(ctx context.Context, me, other uint64) error {
	return s.act(ctx, me, other, func(t Tx, st *Standing) (string, error) {
		switch {
		case st.Friends:
			return "", ErrAlreadyFriend
		case !st.WasAsked:
			return "", ErrNoRequest
		}
		return KindAccepted, befriend(t, st)
	})
}

// Cancel takes me's request back.
func (s *Service) Cancel(ctx context.Context, me, other uint64) error {
	return s.act(ctx, me, other, func(_ Tx, st *Standing) (string, error) {
		if !st.Asked {
			return "", ErrNoRequest
		}
		st.Asked = false
		return KindWithdrawn, nil
	})
}

// Decline says no to other's request.
func (s *Service) Decline(ctx context.Context, me, other uint64) error {
	return s.act(ctx, me, other, func(_ Tx, st *Standing) (string, error) {
		if !st.WasAsked {
			return "", ErrNoRequest
		}
		st.WasAsked = false
		return KindDeclined, nil
	})
}

// Unfriend ends the friendship. While a block stands it is silent, as the
// block is: the one who is blocked is not told of anything.
func (s *Service) Unfriend(ctx context.Context, me, other uint64) error {
	return s.act(ctx, me, other, func(_ Tx, st *Standing) (string, error) {
		if !st.Friends {
			return "", ErrNotFriends
		}
		st.Friends = false
		if st.Blocks || st.BlocksMe {
			return "", nil
		}
		return KindEnded, nil
	})
}

// Block stops messages and requests between me and other, both ways, and ends
// requests that wait. Nobody is told: to two friends each other seems to have
// gone offline. A friendship rests until the block is taken away. Blocking
// twice is blocking once.
func (s *Service) Block(ctx context.Context, me, other uint64) error {
	return s.act(ctx, me, other, func(_ Tx, st *Standing) (string, error) {
		st.Blocks, st.Asked, st.WasAsked = true, false, false
		return "", nil
	})
}

// Unblock takes me's block away. The other's, if there is one, stays.
func (s *Service) Unblock(ctx context.Context, me, other uint64) error {
	return s.act(ctx, me, other, func(_ Tx, st *Standing) (string, error) {
		if !st.Blocks {
			return "", ErrNotBlocked
		}
		st.Blocks = false
		return "", nil
	})
}
