package personal

import (
	"context"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// Erasure is how far erasing somebody came.
type Erasure struct {
	User  uint64
	Begun time.Time
	Pos   uint64    // the last row of the journal that was looked at
	Ended time.Time // zero: it is under way
}

// Reader is what can be read, from a snapshot or inside a change.
type Reader interface {
	Erasure(ctx context.Context, user uint64) (e Erasure, ok bool, err error)
	Open(ctx context.Context, limit int) ([]Erasure, error) // those that are under way, by user
}

// Tx writes inside a change.
type Tx interface {
	Reader
	SetErasure(ctx context.Context, e Erasure) error
}

// Store is where erasures stand.
type Store interface {
	Reader
	In(tx *journal.Tx) Tx
}
