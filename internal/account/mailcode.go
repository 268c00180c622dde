package account

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/remote"
)

// MailCode is what was last mailed to an address, and how often it was asked
// for and tried. Only what few digits a code has keeps it from being guessed,
// so the counting is kept as well as the code.
type MailCode struct {
	Hash  []byte // empty once the code was used
	Made  time.Time
	Tries int       // of this code
	Sends int       // since Since
	Since time.Time // when sends began to be counted

	DaySends int       // since Day
	Day      time.Time // when those of a day began to be counted
}

const (
	mailCodeTTL   = 10 * time.Minute
	mailCodeTries = 5
	mailCodeSends = 3  // in mailCodeTTL
	mailCodeDaily = 10 // in a day: who guesses for weeks gets few tries, and nobody's mailbox is filled

	mailTimeout = 10 * time.Second
	maxMailing  = 16 // mails under way at once: each holds a connection
)

// within says whether at lies in the time from since. A clock that was set back
// must not make ten minutes of a day.
func within(d time.Duration, since, at time.Time) bool {
	age := at.Sub(since)
	return age > -time.Minute && age < d
}

// newMailCode has six digits of which the first is not 0: a client that takes
// it for a number loses nothing.
func newMailCode() (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(900000))
	if err != nil {
		return "", err
	}
	return strconv.FormatInt(100000+n.Int64(), 10), nil
}

// mailCodeHash is how a code is kept: with the signing key, since a million
// plain hashes are made in no time.
func (s *Service) mailCodeHash(key string, made time.Time, code string) []byte {
	h := hmac.New(sha256.New, s.o.Key)
	h.Write([]byte("kabar.mailcode\x00" + key + "\x00"))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(made.UnixMilli())))
	h.Write([]byte(code))
	return h.Sum(nil)
}

// CodeRequest asks for a code by mail.
type CodeRequest struct {
	Email   string
	Address remote.Addr // where it comes from, for the limit; zero is not limited
}

// MailCode mails a code to an address and returns the address that it went to.
// It does and says the same whether or not the address has an account.
func (s *Service) MailCode(ctx context.Context, r CodeRequest) (string, error) {
	email, err := cleanEmail(r.Email)
	if err != nil {
		return "", err
	}
	// What is proven is the form that is compared, so the mail goes there: an
	// address that only folds to somebody's must not get theirs.
	email = fold(email)
	if !s.logins.Take(origin(r.Address), s.o.Now()) {
		return "", ErrTooManyLogins
	}
	if s.o.Mailer == nil {
		s.o.Log.Error("a mail could not be sent", "error", "no mail server is set (mail.server)")
		return "", ErrMailFailed
	}
	code, err := newMailCode()
	if err != nil {
		return "", err
	}
	err = s.change(ctx, func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		if err := s.sweep(t); err != nil {
			return nil, err
		}
		c, _, err := t.MailCode(background, email)
		if err != nil {
			return nil, err
		}
		now := s.now()
		if !within(mailCodeTTL, c.Since, now) {
			c.Since, c.Sends = now, 0
		}
		if !within(24*time.Hour, c.Day, now) {
			c.Day, c.DaySends = now, 0
		}
		if c.Sends >= mailCodeSends || c.DaySends >= mailCodeDaily {
			s.mailCodesRefused.Add(1)
			return nil, ErrTooManyMailCodes
		}
		c.Sends++
		c.DaySends++
		c.Made, c.Tries, c.Hash = now, 0, s.mailCodeHash(email, now, code)
		return nil, t.SetMailCode(background, email, c)
	})
	if err != nil {
		return "", err
	}
	if err := s.mail(ctx, email, "Your code for Kabar", "Your code for Kabar is "+code+".\n\n"+
		"It can be used once, within ten minutes. If you did not ask for it, somebody typed your address:\n"+
		"tell the code to nobody, and nothing will happen.\n"); err != nil {
		return "", err
	}
	return email, nil
}

// mail sends a mail, in bounded time and with few others.
func (s *Service) mail(ctx context.Context, to, subject, text string) error {
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	var err error
	select {
	case s.mailing <- struct{}{}:
		err = s.o.Mailer.Send(ctx, to, subject, text)
		<-s.mailing
	case <-ctx.Done():
		err = fmt.Errorf("%d others are under way: %w", maxMailing, ctx.Err())
	}
	if err != nil {
		// For people it is one sentence; why is the operator's business.
		s.o.Log.Error("a mail could not be sent", "error", err)
		return ErrMailFailed
	}
	return nil
}

// CodeLogin is a mailed code that came back.
type CodeLogin struct {
	Email, Code string
	Gateway     string
	Idle        time.Duration // 0 is Options.LoginIdle
	Address     remote.Addr   // where it comes from, for the limit; zero is not limited
}

// LoginByCode checks a mailed code and makes a login and its token; first says
// that the address had no account, and has one now. The first proof of an
// address ends what was there before it: earlier logins and the password, which
// somebody else may have prepared.
func (s *Service) LoginByCode(ctx context.Context, r CodeLogin) (string, User, Login, bool, error) {
	email, err := cleanEmail(r.Email)
	if err != nil {
		return "", User{}, Login{}, false, ErrMailCodeUnknown
	}
	email = fold(email)
	if !s.logins.Take(origin(r.Address), s.o.Now()) {
		return "", User{}, Login{}, false, ErrTooManyLogins
	}
	var u User
	var l Login
	var token string
	var first bool
	// A try counts whatever comes of it, and a change that fails is undone: so
	// the refusal travels beside the change.
	var refused error
	err = s.change(ctx, func(tx *journal.Tx, t Tx) ([]*journal.Message, error) {
		var ms []*journal.Message
		err := s.sweep(t)
		if err != nil {
			return nil, err
		}
		if refused, err = s.tryMailCode(t, email, strings.TrimSpace(r.Code)); err != nil || refused != nil {
			return nil, err
		}
		if u, first, ms, err = s.proven(t, email, r.Address); err != nil {
			return nil, err
		}
		if u.Suspended {
			refused = ErrSuspended
			return nil, nil
		}
		token, l, err = s.enter(tx, t, u.ID, r.Gateway, r.Idle)
		return ms, err
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return "", User{}, Login{}, false, err
	}
	return token, u, l, first, nil
}

// tryMailCode counts a try and uses the code up where it is the right one.
func (s *Service) tryMailCode(t Tx, email, code string) (refused, err error) {
	c, ok, err := t.MailCode(background, email)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return ErrMailCodeUnknown, nil
	case len(c.Hash) == 0 || !within(mailCodeTTL, c.Made, s.now()):
		return ErrMailCodeExpired, nil
	case c.Tries >= mailCodeTries:
		s.mailCodesRefused.Add(1)
		return ErrTooManyMailCodes, nil
	}
	c.Tries++
	if hmac.Equal(c.Hash, s.mailCodeHash(email, c.Made, code)) {
		c.Hash = nil
	} else {
		refused = ErrMailCodeWrong
	}
	return refused, t.SetMailCode(background, email, c)
}

// proven is the account of an address that was proven just now. A suspended
// one is left as it is.
func (s *Service) proven(t Tx, email string, address remote.Addr) (u User, first bool, ms []*journal.Message, err error) {
	u, known, err := t.UserByEmail(background, email)
	if err != nil {
		return User{}, false, nil, err
	}
	if !known {
		if !s.registrations.Take(origin(address), s.o.Now()) {
			return User{}, false, nil, ErrTooManyRegistrations
		}
		u = User{Email: email, Created: s.now(), Proven: true}
		return u, true, nil, addUser(t, &u)
	}
	if u.Proven || u.Suspended {
		return u, false, nil, nil
	}
	u.Email, u.Password, u.Proven = email, "", true
	if err := t.SetUser(background, u); err != nil {
		return User{}, false, nil, err
	}
	ms, err = endLogins(t, u.ID, "withdrawn")
	return u, false, ms, err
}
