package account

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/remote"
)

// Login is one device's way in. Its row is the truth: a token whose row is gone
// or over is worth nothing.
type Login struct {
	ID         uint64 // never given twice
	User       uint64
	Gateway    string // where it was made: "direct", "relay", …
	Created    time.Time
	Seen       time.Time // last used, to the step at which it is written down
	Expires    time.Time
	Idle       time.Duration // how long it lives without being used
	InboxStart uint64        // the head of the user's inbox when it was made
}

// step is how far apart uses are written down: at most hourly.
func (l Login) step() time.Duration { return min(time.Hour, l.Idle/4) }

// LoginRequest is a name and a password.
type LoginRequest struct {
	Name     string // e-mail address or handle
	Password string
	Gateway  string
	Idle     time.Duration // 0 is Options.LoginIdle
	Address  remote.Addr   // where it comes from, for the limit; zero is not limited
}

// Login checks the password and makes a login and its token. ErrUnknownName
// and ErrWrongPassword take the same time; after too many wrong ones no
// password is checked for a while, and logins that exist go on.
func (s *Service) Login(ctx context.Context, r LoginRequest) (string, User, Login, error) {
	if !s.logins.Take(origin(r.Address), s.o.Now()) {
		return "", User{}, Login{}, ErrTooManyLogins
	}
	u, err := s.checkPassword(ctx, r.Name, r.Password)
	if err != nil {
		return "", User{}, Login{}, err
	}
	checked := u.Password
	var l Login
	var token string
	err = s.change(ctx, func(tx *journal.Tx, t Tx) ([]*journal.Message, error) {
		err := s.sweep(t)
		if err != nil {
			return nil, err
		}
		if u, err = found(t.User(background, u.ID)); err != nil {
			return nil, err
		}
		if u.Suspended {
			return nil, ErrSuspended
		}
		if u.Password != checked { // changed while it was being checked
			return nil, ErrWrongPassword
		}
		token, l, err = s.enter(tx, t, u.ID, r.Gateway, r.Idle)
		return nil, err
	})
	if err != nil {
		return "", User{}, Login{}, err
	}
	return token, u, l, nil
}

// enter makes a login and its token, inside a change.
func (s *Service) enter(tx *journal.Tx, t Tx, user uint64, gateway string, idle time.Duration) (string, Login, error) {
	now := s.now()
	l := Login{User: user, Gateway: gateway, Created: now, Seen: now, Idle: idle}
	if l.Idle <= 0 {
		l.Idle = s.o.LoginIdle
	}
	l.Expires = now.Add(min(l.Idle, s.o.LoginEnd))
	var err error
	if l.ID, err = t.NextLogin(background); err != nil {
		return "", Login{}, err
	}
	if l.InboxStart, err = tx.Head(Inbox(user)); err != nil {
		return "", Login{}, err
	}
	jti := rand.Text()
	token, err := s.loginToken(l, jti)
	if err != nil {
		return "", Login{}, err
	}
	return token, l, t.AddLogin(background, l, hashOf(jti))
}

// checkPassword finds the user of a name whose password this is.
func (s *Service) checkPassword(ctx context.Context, name, password string) (User, error) {
	find := s.o.Store.UserByHandle
	if strings.Contains(name, "@") {
		find = s.o.Store.UserByEmail
	}
	u, known, err := find(ctx, fold(name))
	if err != nil {
		return User{}, err
	}
	// The bound is on what was written, known or not: a bound on the account
	// would tell that a handle and an address are the same person's.
	account := string(hashOf(fold(name)))
	// Counted before it is checked, so that many at once are not many more.
	if !s.passwords.Take(account, s.o.Now()) {
		return User{}, ErrTooManyPasswords
	}
	ok, err := s.hasher.verify(ctx, password, u.Password)
	switch {
	case err != nil:
		s.passwords.giveBack(account, s.o.Now())
		return User{}, err
	case !known:
		return User{}, ErrUnknownName
	case !ok:
		return User{}, ErrWrongPassword
	}
	s.passwords.giveBack(account, s.o.Now())
	if u.Suspended {
		return User{}, ErrSuspended
	}
	return u, nil
}

// Authenticate is who a token belongs to. Using a login makes it live on.
func (s *Service) Authenticate(ctx context.Context, token string) (User, Login, error) {
	hash := digestOf(token)
	known, changes := s.known.find(s.o.Now(), func() *liveLogin { return s.known.byToken[hash] })
	if known != nil {
		u, l, err := s.live(known.user, known.login, true, nil)
		if err != nil {
			return User{}, Login{}, err
		}
		return u, s.Touch(l), nil
	}
	var c loginClaims
	if err := s.signer.check(s.signer.login, token, &c); err != nil {
		return User{}, Login{}, ErrTokenInvalid
	}
	u, l, err := s.live(s.o.Store.LoginByToken(ctx, hashOf(c.ID)))
	if err != nil {
		return User{}, Login{}, err
	}
	if c.Subject != strconv.FormatUint(u.ID, 10) {
		return User{}, Login{}, ErrTokenInvalid
	}
	s.known.keep(changes, liveLogin{user: u, login: l, token: hash})
	return u, s.Touch(l), nil
}

// live passes on a login that is worth something at this moment.
func (s *Service) live(u User, l Login, ok bool, err error) (User, Login, error) {
	switch {
	case err != nil:
		return User{}, Login{}, err
	case !ok || !s.o.Now().Before(l.Expires):
		return User{}, Login{}, ErrLoginEnded
	case u.Suspended:
		return User{}, Login{}, ErrSuspended
	}
	return u, l, nil
}

// Touch says that a login is in use, and returns it as it is then: a socket
// keeps what it gets back, and calls it with its traffic. It is free but about
// once an hour, when it hands a change over and does not wait for it.
func (s *Service) Touch(l Login) Login {
	now := s.now()
	if now.Sub(l.Seen) < l.step() || !now.Before(l.Expires) {
		return l
	}
	l.Seen, l.Expires = now, now.Add(l.Idle)
	if end := l.Created.Add(s.o.LoginEnd); end.Before(l.Expires) {
		l.Expires = end
	}
	s.do(journal.Key{}, func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		return nil, t.MoveLogin(background, l.ID, l.Seen, l.Expires)
	})
	return l
}

// LoginEnded is what a "login.ended" message says.
type LoginEnded struct {
	Login  uint64 `json:"login"`
	Reason string `json:"reason"` // "logout", "suspended", "withdrawn", "erased"
}

// KindLoginEnded is the kind of the message that ends a login's sessions.
const KindLoginEnded = "login.ended"

func ended(user, login uint64, reason string) (*journal.Message, error) {
	data, err := json.Marshal(LoginEnded{login, reason})
	return &journal.Message{
		Kind: KindLoginEnded, From: user, Entries: journal.To(Inbox(user)), Data: data, Ends: LoginCredential(login),
	}, err
}

// Logout ends a login, its token, its codes and its sessions. One that ended
// already is no error.
func (s *Service) Logout(ctx context.Context, l Login) error {
	return s.change(ctx, func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		was, err := t.DropLogin(background, l.ID)
		if err != nil || !was {
			return nil, err
		}
		m, err := ended(l.User, l.ID, "logout")
		return []*journal.Message{m}, err
	})
}

// Logins are a user's logins with ids after one, ascending, at most limit. One
// that is over stands there until it is swept.
func (s *Service) Logins(ctx context.Context, user, after uint64, limit int) ([]Login, error) {
	if _, err := found(s.o.Store.User(ctx, user)); err != nil {
		return nil, err
	}
	return s.o.Store.LoginsAfter(ctx, user, after, limit)
}

func endLogins(t Tx, user uint64, reason string) ([]*journal.Message, error) {
	ids, err := t.LoginsOf(background, user)
	if err != nil {
		return nil, err
	}
	ms := make([]*journal.Message, len(ids))
	for i, id := range ids {
		if _, err := t.DropLogin(background, id); err != nil {
			return nil, err
		}
		if ms[i], err = ended(user, id, reason); err != nil {
			return nil, err
		}
	}
	return ms, nil
}

// Suspend closes an account: its logins end, and nobody can log in to it.
func (s *Service) Suspend(ctx context.Context, user uint64) error {
	return s.setSuspended(ctx, user, true)
}

// Restore opens a suspended account again. Logins that ended stay ended.
func (s *Service) Restore(ctx context.Context, user uint64) error {
	return s.setSuspended(ctx, user, false)
}

func (s *Service) setSuspended(ctx context.Context, user uint64, to bool) error {
	return s.change(ctx, func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		u, err := found(t.User(background, user))
		if err != nil || u.Suspended == to {
			return nil, err
		}
		if u.Erased {
			return nil, ErrErased
		}
		u.Suspended = to
		if err := t.SetUser(background, u); err != nil || !to {
			return nil, err
		}
		return endLogins(t, user, "suspended")
	})
}

const (
	sweepEvery = time.Minute
	sweepAfter = 5 * time.Minute // a clock that is set back a little must find what was there
	sweepLimit = 10000           // rows at once: the writer serves others too
)

// sweep removes what is over, now and then. It runs on the writer, inside a
// change.
func (s *Service) sweep(t Tx) error {
	now := s.o.Now()
	if now.Sub(s.swept) < sweepEvery {
		return nil
	}
	s.swept = now
	return t.Sweep(background, now.Add(-sweepAfter), sweepLimit)
}
