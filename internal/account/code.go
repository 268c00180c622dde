package account

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// Issue makes a one-time code for a login. Nothing is stored until it is spent.
func (s *Service) Issue(l Login) (string, error) {
	now := s.o.Now()
	return s.signer.sign(codeClaims{
		AuthID: rand.Text(), User: l.User, Login: l.ID,
		RegisteredClaims: jwt.RegisteredClaims{
			Audience: jwt.ClaimStrings{codeAudience}, ExpiresAt: jwt.NewNumericDate(now.Add(s.o.CodeTTL)),
		},
	})
}

// Spend takes a one-time code: of all who present it the first wins, and only
// while its login lives. address is where it comes from, "" is not limited.
func (s *Service) Spend(ctx context.Context, code, address string) (User, Login, error) {
	from := Origin(address)
	if !s.codes.free(from, s.o.Now()) {
		return User{}, Login{}, ErrTooManyCodes
	}
	u, l, err := s.spend(ctx, code)
	if err != nil {
		var e *status.Error
		if errors.As(err, &e) && e.Code == status.Unauthenticated {
			s.codes.Take(from, s.o.Now())
		}
		return User{}, Login{}, err
	}
	return u, s.Touch(l), nil
}

func (s *Service) spend(ctx context.Context, code string) (User, Login, error) {
	var c codeClaims
	if err := s.signer.check(s.signer.code, code, &c); err != nil {
		if errors.Is(err, jwt.ErrTokenExpired) {
			return User{}, Login{}, ErrCodeExpired
		}
		return User{}, Login{}, ErrCodeInvalid
	}
	if c.AuthID == "" {
		return User{}, Login{}, ErrCodeInvalid
	}
	var u User
	var l Login
	err := s.change(ctx, func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		if err := s.sweep(t); err != nil {
			return nil, err
		}
		// It waited for its turn: what was in time at the door may be late here,
		// and once it is swept nothing would remember it.
		if !s.o.Now().Before(c.ExpiresAt.Time) {
			return nil, ErrCodeExpired
		}
		fresh, err := t.SpendCode(background, hashOf(c.AuthID), c.ExpiresAt.Time)
		if err != nil || !fresh {
			return nil, either(err, ErrCodeSpent)
		}
		if u, l, err = s.live(t.Login(background, c.Login)); err != nil {
			return nil, err
		}
		if u.ID != c.User {
			return nil, ErrCodeInvalid
		}
		return nil, nil
	})
	if err != nil {
		return User{}, Login{}, err
	}
	return u, l, nil
}
