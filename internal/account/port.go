package account

import (
	"context"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

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
	// SpendCode keeps the hash of a code; fresh is false where it was kept before.
	SpendCode(ctx context.Context, hash []byte, expires time.Time) (fresh bool, err error)
	// Sweep removes codes and logins that expired before, at most limit of each.
	Sweep(ctx context.Context, before time.Time, limit int) error
}

// Store is where accounts stand.
type Store interface {
	Reader
	In(tx *journal.Tx) Tx
}
