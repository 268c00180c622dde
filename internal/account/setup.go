package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/remote"
)

// NewSetup makes the code with which the administrator's account can be made,
// once, while nobody is an administrator: no account has a password that is
// well known. A code that was made before is worth nothing then, as are all
// when the server ends.
func (s *Service) NewSetup(ctx context.Context) (code string, needed bool, err error) {
	admins, err := s.o.Store.GroupMembers(ctx, groupKey(GroupAdmins), 0, 1)
	if err != nil {
		return "", false, err
	}
	var hash []byte
	if needed = len(admins) == 0; needed {
		code = rand.Text()
		hash = hashOf(code)
	}
	s.setupMu.Lock()
	s.setup = hash
	s.setupMu.Unlock()
	return code, needed, nil
}

// Setup is what the administrator's account is made of.
type Setup struct {
	Code                  string
	Email, Name, Password string
	Address               remote.Addr // where it comes from, for the limit; zero is not limited
}

// FinishSetup makes the administrator's account and uses the code up.
func (s *Service) FinishSetup(ctx context.Context, r Setup) (User, error) {
	if !s.logins.Take(origin(r.Address), s.o.Now()) {
		return User{}, ErrTooManyLogins
	}
	if err := s.CheckSetup(r.Code); err != nil {
		return User{}, err
	}
	u, err := s.prepare(ctx, Registration{Email: r.Email, Name: r.Name, Password: r.Password})
	if err != nil {
		return User{}, err
	}
	err = s.change(ctx, func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		admins, err := t.GroupMembers(background, groupKey(GroupAdmins), 0, 1)
		if err != nil || len(admins) > 0 {
			return nil, either(err, ErrSetupInvalid)
		}
		if err := s.CheckSetup(r.Code); err != nil {
			return nil, err
		}
		if err := addRegistered(t, &u); err != nil {
			return nil, err
		}
		return nil, t.AddToGroup(background, groupKey(GroupAdmins), GroupAdmins, u.ID)
	})
	if err != nil {
		return User{}, err
	}
	s.setupMu.Lock()
	if subtle.ConstantTimeCompare(s.setup, hashOf(r.Code)) == 1 {
		s.setup = nil
	}
	s.setupMu.Unlock()
	return u, nil
}

// CheckSetup says whether a code is the one that makes the administrator's
// account: ErrSetupInvalid.
func (s *Service) CheckSetup(code string) error {
	s.setupMu.Lock()
	defer s.setupMu.Unlock()
	if subtle.ConstantTimeCompare(s.setup, hashOf(code)) != 1 {
		return ErrSetupInvalid
	}
	return nil
}
