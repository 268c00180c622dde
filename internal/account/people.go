package account

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// SetHandle changes the handle.
func (s *Service) SetHandle(ctx context.Context, user uint64, handle string) (User, error) {
	handle = strings.TrimSpace(handle)
	if !fitsHandle(handle) {
		return User{}, ErrHandleInvalid
	}
	return s.edit(ctx, user, func(t Tx, u *User) error {
		other, taken, err := t.UserByHandle(background, fold(handle))
		if err != nil || taken && other.ID != u.ID {
			return either(err, ErrHandleTaken)
		}
		u.Handle = handle
		return nil
	})
}

// SetPassword changes the password, or gives one to who has none. The old one
// is needed where there is one, "" where there is none, and guessing is bounded.
// It is the login that may: one that ended while it was asking may not, since
// what ended it may have given the account to somebody else.
func (s *Service) SetPassword(ctx context.Context, l Login, old, replacement string) error {
	if err := checkPassword(replacement); err != nil {
		return err
	}
	u, err := s.User(ctx, l.User)
	if err != nil {
		return err
	}
	if u.Password == "" && old != "" {
		return ErrWrongPassword
	}
	if u.Password != "" {
		// Not the bound of logging in: who guesses from outside must not keep
		// the owner from changing it.
		account := string(hashOf("user " + strconv.FormatUint(u.ID, 10)))
		if !s.passwords.Take(account, s.o.Now()) {
			return ErrTooManyPasswords
		}
		ok, err := s.hasher.verify(ctx, old, u.Password)
		if err == nil && !ok {
			return ErrWrongPassword
		}
		s.passwords.giveBack(account, s.o.Now())
		if err != nil {
			return err
		}
	}
	checked := u.Password
	hash, err := s.hasher.hash(ctx, replacement)
	if err != nil {
		return err
	}
	return s.change(ctx, func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		u, _, err := s.live(t.Login(background, l.ID))
		if err != nil {
			return nil, err
		}
		if u.Password != checked { // changed while it was being checked
			return nil, ErrWrongPassword
		}
		u.Password = hash
		return nil, t.SetUser(background, u)
	})
}

const (
	maxQuery = 100 // bytes: more is no name
	maxPage  = 200
)

// page is a limit that is one.
func page(limit int) int {
	if limit <= 0 || limit > maxPage {
		return maxPage
	}
	return limit
}

// Users is for the administrator: everybody with an id after one whose handle,
// display name or address has q, by id. "" is in all.
func (s *Service) Users(ctx context.Context, q string, after uint64, limit int) ([]User, error) {
	key := nameKey(q)
	if len(key) > maxQuery || !utf8.ValidString(q) {
		return nil, nil
	}
	return s.o.Store.UsersAfter(ctx, key, after, page(limit))
}

// KindBadges is the kind of the message that says which badges a user has now.
const KindBadges = "badges.set"

// Badges is what a "badges.set" message says.
type Badges struct {
	Badges []int `json:"badges"`
}

const maxBadges = 32

// SetBadges gives a user badges, instead of those before; what the numbers mean
// is the client's to know.
func (s *Service) SetBadges(ctx context.Context, user uint64, badges []int) (User, error) {
	if len(badges) > maxBadges {
		return User{}, status.Errorf(status.Invalid, "BADGES_INVALID", "there are more than %d badges", maxBadges)
	}
	kept := make([]int, 0, len(badges))
	for _, b := range badges {
		if b < 0 || b > 1<<31-1 {
			return User{}, status.Errorf(status.Invalid, "BADGES_INVALID", "a badge is a number from 0 to %d", 1<<31-1)
		}
		if !slices.Contains(kept, b) {
			kept = append(kept, b)
		}
	}
	data, err := json.Marshal(Badges{kept})
	if err != nil {
		return User{}, err
	}
	var u User
	err = s.change(ctx, func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		var err error
		if u, err = person(t.User(background, user)); err != nil || slices.Equal(u.Badges, kept) {
			return nil, err
		}
		if u.Badges = kept; len(kept) == 0 {
			u.Badges = nil
		}
		return []*journal.Message{{Kind: KindBadges, Entries: journal.To(Inbox(user)), Data: data}}, t.SetUser(background, u)
	})
	if err != nil {
		return User{}, err
	}
	return u, nil
}
