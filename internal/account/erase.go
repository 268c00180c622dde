package account

import (
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// ErasedName is what an account is called that is nobody's any more.
const ErasedName = "Deleted account"

// ErrErased is the answer to who wants an account back that was erased.
var ErrErased = status.Errorf(status.Conflict, "ERASED", "this account was erased: there is nothing left to open again")

// ErasedProfile is how messages name an account that was erased.
func ErasedProfile(id uint64) Profile { return Profile{id, givenHandle(id), ErasedName} }

// Erase is a change that takes the person out of an account: names, address,
// password, groups and logins are gone with it, and its sockets close. What is
// left is a number that nobody can log in to, and that no other account gets.
// Address and handle are free again.
func (s *Service) Erase(user uint64) journal.Change {
	return s.as(func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		u, err := found(t.User(background, user))
		if err != nil || u.Erased {
			return nil, err
		}
		if email, _, _ := u.Keys(); email != "" {
			if err := t.DropMailCode(background, email); err != nil {
				return nil, err
			}
		}
		if err := t.RemoveFromGroups(background, user); err != nil {
			return nil, err
		}
		p := ErasedProfile(user)
		err = t.SetUser(background, User{ID: user, Handle: p.Handle, Display: p.Name, Created: u.Created, Suspended: true, Erased: true})
		if err != nil {
			return nil, err
		}
		return endLogins(t, user, "erased")
	})
}
