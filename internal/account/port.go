package account

import (
	"context"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// Mailer sends a mail, and returns once it was handed over or ctx has ended.
type Mailer interface {
	Send(ctx context.Context, to, subject, text string) error
}

// Reader is what can be read, from a snapshot or inside a change. ok is false
// where there is no such row. Keys are folded (see User.Keys).
type Reader interface {
	User(ctx context.Context, id uint64) (u User, ok bool, err error)
	UserByEmail(ctx context.Context, key string) (u User, ok bool, err error)
	UserByHandle(ctx context.Context, key string) (u User, ok bool, err error)
	// NameTaken says whether a user has this handle or display name.
	NameTaken(ctx context.Context, key string) (bool, error)
	// UserIDs returns the ids after one, ascending, without the suspended.
	UserIDs(ctx context.Context, after uint64, limit int) ([]uint64, error)

	// Login and LoginByToken return a login with its user, in one query.
	Login(ctx context.Context, id uint64) (u User, l Login, ok bool, err error)
	LoginByToken(ctx context.Context, hash []byte) (u User, l Login, ok bool, err error)
	LoginsOf(ctx context.Context, user uint64) ([]uint64, error)
	// LoginsAfter are the logins of a user with ids after one, ascending.
	LoginsAfter(ctx context.Context, user, after uint64, limit int) ([]Login, error)

	// LoginByTicket returns the login that has this ticket, with its user.
	LoginByTicket(ctx context.Context, hash []byte) (u User, l Login, t Ticket, ok bool, err error)
	// TicketsOf returns the tickets of a user's logins. LastTicket is the one
	// that a login has, or had last.
	TicketsOf(ctx context.Context, user uint64) ([]Ticket, error)
	LastTicket(ctx context.Context, login uint64) (t Ticket, ok bool, err error)
	// MailCode is what was last mailed to an address.
	MailCode(ctx context.Context, key string) (c MailCode, ok bool, err error)

	// UsersAfter finds those with ids after one whose handle, name or address
	// has key, ascending; "" is in all.
	UsersAfter(ctx context.Context, key string, after uint64, limit int) ([]User, error)

	// Groups that have members: their names, or those of one user. A group's
	// key is its name folded (see groupKey).
	GroupNames(ctx context.Context) ([]string, error)
	GroupsOf(ctx context.Context, user uint64) ([]string, error)
	GroupMembers(ctx context.Context, key string, after uint64, limit int) ([]User, error)
}

// Tx reads and writes inside a change.
type Tx interface {
	Reader
	NextID(ctx context.Context) (uint64, error)    // of users, groups and rooms; never given twice
	NextLogin(ctx context.Context) (uint64, error) // of logins; never given twice

	AddUser(ctx context.Context, u User) error
	SetUser(ctx context.Context, u User) error
	AddLogin(ctx context.Context, l Login, hash []byte) error
	MoveLogin(ctx context.Context, id uint64, seen, expires time.Time) error
	DropLogin(ctx context.Context, id uint64) (was bool, err error)
	// SetTicket gives a login its one ticket, instead of the one before.
	// DropTicket leaves it without.
	SetTicket(ctx context.Context, t Ticket, hash []byte) error
	DropTicket(ctx context.Context, login uint64) error
	NextTicket(ctx context.Context) (uint64, error) // never given twice
	SetMailCode(ctx context.Context, key string, c MailCode) error
	AddToGroup(ctx context.Context, key, name string, user uint64) error
	RemoveFromGroup(ctx context.Context, key string, user uint64) error
	RemoveFromGroups(ctx context.Context, user uint64) error
	DropMailCode(ctx context.Context, key string) error
	// Sweep removes logins that expired before, at most limit; mailed codes a
	// day later, so that who comes late is told so.
	Sweep(ctx context.Context, before time.Time, limit int) error
}

// Store is where accounts stand.
type Store interface {
	Reader
	In(tx *journal.Tx) Tx
}
