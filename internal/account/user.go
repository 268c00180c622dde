package account

import (
	"context"
	"net/mail"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/status"
)

// User is a person's account. Ids come from one sequence with groups and
// rooms, and stay below 2^53.
type User struct {
	ID        uint64
	Handle    string // 3 to 20 of [A-Za-z0-9._], unique without case; u<id> where none was chosen
	Display   string // at most 35 characters, not unique
	Email     string // unique without case; "" for none
	Password  Hash
	About     string // at most 200 characters
	Avatar    string
	Created   time.Time
	Suspended bool
	Proven    bool  // a code mailed to the address came back
	Badges    []int // at most 32, as the administrator gave them
	Erased    bool  // nobody's any more: what is left is a number (see Erase)
}

// Profile is what a message says of its sender, as it was.
type Profile struct {
	ID     uint64 `json:"id"`
	Handle string `json:"handle"`
	Name   string `json:"name"`
}

// Profile is the user as messages name them.
func (u User) Profile() Profile { return Profile{u.ID, u.Handle, u.Display} }

// Keys are the forms in which address, handle and display name are compared.
func (u User) Keys() (email, handle, name string) {
	return fold(u.Email), fold(u.Handle), nameKey(u.Display)
}

// Named says whether a name is the user's handle or display name, or looks like it.
func (u User) Named(name string) bool {
	key := nameKey(name)
	return key == nameKey(u.Display) || key == nameKey(u.Handle)
}

// fold takes away what does not make two names different: case and spaces.
func fold(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

const (
	maxEmail   = 254 // bytes, as SMTP has it
	maxDisplay = 35  // characters
	maxAbout   = 200 // characters
)

// givenHandle is the handle of a user who chose none.
func givenHandle(id uint64) string { return "u" + strconv.FormatUint(id, 10) }

// isGiven says whether a handle has the form of a given one, which nobody may
// choose: it would be somebody's.
func isGiven(handle string) bool {
	digits, ok := strings.CutPrefix(strings.ToLower(handle), "u")
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// fitsHandle says whether a name can be a handle.
func fitsHandle(name string) bool {
	if len(name) < 3 || len(name) > 20 || isGiven(name) {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_':
		default:
			return false
		}
	}
	return true
}

// hidden says whether a character does not show, or makes others show where
// they are not. The joiners stay: scripts and emoji need them.
func hidden(r rune) bool {
	switch {
	case unicode.IsControl(r), r == '\u2028', r == '\u2029':
		return true
	case r == '\u200c', r == '\u200d':
		return false
	case r >= 0xe0020 && r <= 0xe007f: // the tags of flags
		return false
	}
	return unicode.Is(unicode.Cf, r)
}

func cleanAbout(about string) (string, error) {
	about = strings.ReplaceAll(about, "\r\n", "\n")
	if !utf8.ValidString(about) || strings.ContainsFunc(strings.ReplaceAll(about, "\n", ""), hidden) {
		return "", status.Errorf(status.Invalid, "ABOUT_INVALID", "the text has characters that do not show, or is not valid UTF-8")
	}
	about = strings.TrimSpace(about)
	if utf8.RuneCountInString(about) > maxAbout {
		return "", status.Errorf(status.Invalid, "ABOUT_TOO_LONG", "the text is longer than %d characters", maxAbout)
	}
	return about, nil
}

func cleanEmail(email string) (string, error) {
	email = strings.TrimSpace(email)
	a, err := mail.ParseAddress(email)
	if err != nil || a.Address != email || len(email) > maxEmail || strings.ContainsFunc(email, hidden) {
		return "", status.Errorf(status.Invalid, "EMAIL_INVALID", "this is not an e-mail address")
	}
	return email, nil
}

// User is the user with this id, or ErrUserNotFound.
func (s *Service) User(ctx context.Context, id uint64) (User, error) {
	return found(s.o.Store.User(ctx, id))
}

// UserByEmail is the user with this address, or ErrUserNotFound.
func (s *Service) UserByEmail(ctx context.Context, email string) (User, error) {
	return found(s.o.Store.UserByEmail(ctx, fold(email)))
}

// UserByHandle is the user with this handle, or ErrUserNotFound.
func (s *Service) UserByHandle(ctx context.Context, handle string) (User, error) {
	return found(s.o.Store.UserByHandle(ctx, fold(handle)))
}

func found(u User, ok bool, err error) (User, error) {
	if err != nil {
		return User{}, err
	}
	if !ok {
		return User{}, ErrUserNotFound
	}
	return u, nil
}

// person is a user who was not erased: nothing is given to a number any more.
func person(u User, ok bool, err error) (User, error) { return found(u, ok && !u.Erased, err) }

// NameTaken says whether a name is some account's handle or display name, so
// that somebody without an account may not go by it.
func (s *Service) NameTaken(ctx context.Context, name string) (bool, error) {
	return s.o.Store.NameTaken(ctx, nameKey(name))
}

// SetDisplay changes the display name. Who has no chosen handle gets the name
// as a handle too, where it fits and is free; a chosen handle stays, since
// people log in by it.
func (s *Service) SetDisplay(ctx context.Context, user uint64, name string) (User, error) {
	name, err := cleanDisplay(name)
	if err != nil {
		return User{}, err
	}
	return s.edit(ctx, user, func(t Tx, u *User) error {
		u.Display = name
		if !isGiven(u.Handle) {
			return nil
		}
		free, err := freeHandle(t, name)
		if free {
			u.Handle = name
		}
		return err
	})
}

// SetAbout changes what the user says of themselves; "" is nothing.
func (s *Service) SetAbout(ctx context.Context, user uint64, about string) (User, error) {
	about, err := cleanAbout(about)
	if err != nil {
		return User{}, err
	}
	return s.edit(ctx, user, func(_ Tx, u *User) error { u.About = about; return nil })
}
