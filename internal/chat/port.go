package chat

import (
	"context"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
)

// Flags are what stands between two people, the one with the smaller id (a)
// and the other (b).
type Flags uint8

// A pair's flags. They are stored: a bit never changes its meaning.
const (
	flagFriends Flags = 1 << iota
	flagAAsked        // a asked b to be friends, who has not answered
	flagBAsked
	flagABlocks
	flagBBlocks
)

// Relation is a pair's row. A < B.
type Relation struct {
	A, B  uint64
	Flags Flags
	Room  uint64    // 0 until they first became friends
	Since time.Time // when it last changed
}

// Sender is what a message needs to know, in one query: the pair's row, and
// who sends. ok is false where the pair has no row.
type Sender struct {
	Flags     Flags
	Room      uint64
	Profile   account.Profile
	Suspended bool
}

// Neighbour is somebody's relation with one other person.
type Neighbour struct {
	User     account.User
	Relation Relation
}

// Reader is what can be read, from a snapshot or inside a change. In what
// takes a pair, a < b.
type Reader interface {
	Relation(ctx context.Context, a, b uint64) (r Relation, ok bool, err error)
	Sender(ctx context.Context, from, a, b uint64) (s Sender, ok bool, err error)
	User(ctx context.Context, id uint64) (u account.User, ok bool, err error)
	// Neighbours returns, newest first, those whose row with user has a bit of
	// asA where user is a, of asB where user is b.
	Neighbours(ctx context.Context, user uint64, asA, asB Flags, limit int) ([]Neighbour, error)
}

// Tx reads and writes inside a change.
type Tx interface {
	Reader
	NextID(ctx context.Context) (uint64, error) // of users, groups and rooms; never given twice
	SetRelation(ctx context.Context, r Relation) error
	DropRelation(ctx context.Context, a, b uint64) error
}

// Store is where chats stand.
type Store interface {
	Reader
	In(tx *journal.Tx) Tx
}
