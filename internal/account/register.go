package account

import (
	"context"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/remote"
)

// Registration is a new account. Name is what the person wants to be called:
// the display name always, and the handle where it fits and is free.
type Registration struct {
	Email, Name, Password string
	Address               remote.Addr // where it comes from, for the limit; zero is not limited
}

// Register makes an account. ErrAlreadyRegistered is the one answer that tells
// that an address exists.
func (s *Service) Register(ctx context.Context, r Registration) (User, error) {
	u, err := s.prepare(ctx, r)
	if err != nil {
		return User{}, err
	}
	err = s.change(ctx, func(_ *journal.Tx, t Tx) ([]*journal.Message, error) { return nil, addRegistered(t, &u) })
	if err != nil {
		return User{}, err
	}
	return u, nil
}

// prepare is the user of a registration that can be added.
func (s *Service) prepare(ctx context.Context, r Registration) (User, error) {
	u := User{Created: s.now()}
	var err error
	if u.Email, err = cleanEmail(r.Email); err != nil {
		return User{}, err
	}
	if u.Display, err = cleanDisplay(r.Name); err != nil {
		return User{}, err
	}
	if err := checkPassword(r.Password); err != nil {
		return User{}, err
	}
	if !s.registrations.Take(origin(r.Address), s.o.Now()) {
		return User{}, ErrTooManyRegistrations
	}
	// Asked once before the hash, which is dear, and again where it counts.
	email, _, _ := u.Keys()
	if _, taken, err := s.o.Store.UserByEmail(ctx, email); err != nil || taken {
		return User{}, either(err, ErrAlreadyRegistered)
	}
	u.Password, err = s.hasher.hash(ctx, r.Password)
	return u, err
}

// addRegistered adds a user whose address nobody has.
func addRegistered(t Tx, u *User) error {
	email, _, _ := u.Keys()
	if _, taken, err := t.UserByEmail(background, email); err != nil || taken {
		return either(err, ErrAlreadyRegistered)
	}
	return addUser(t, u)
}

// either is err, or the word for what was found where there is no err.
func either(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// addUser gives the user an id and a handle, and keeps them. Who has no name
// goes by the handle.
func addUser(t Tx, u *User) error {
	id, err := t.NextID(background)
	if err != nil {
		return err
	}
	u.ID, u.Handle = id, givenHandle(id)
	if u.Display == "" {
		u.Display = u.Handle
	}
	free, err := freeHandle(t, u.Display)
	if err != nil {
		return err
	}
	if free {
		u.Handle = u.Display
	}
	return t.AddUser(background, *u)
}

func freeHandle(t Tx, name string) (bool, error) {
	if !fitsHandle(name) {
		return false, nil
	}
	_, taken, err := t.UserByHandle(background, fold(name))
	return !taken && err == nil, err
}

// edit changes a user's row.
func (s *Service) edit(ctx context.Context, id uint64, f func(t Tx, u *User) error) (User, error) {
	var u User
	err := s.change(ctx, func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		var err error
		if u, err = person(t.User(background, id)); err != nil {
			return nil, err
		}
		if err := f(t, &u); err != nil {
			return nil, err
		}
		return nil, t.SetUser(background, u)
	})
	if err != nil {
		return User{}, err
	}
	return u, nil
}
