package instance

import (
	"context"

	"github.com/kabar-io/kabar/internal/journal"
)

// Row is an instance as it is stored, with the token that is its own now.
type Row struct {
	Instance
	Token uint64 // never given twice
	Hash  []byte // of the token's secret
}

// Reader is what can be read, from a snapshot or inside a change. ok is false
// where there is no such row.
type Reader interface {
	Instance(ctx context.Context, id uint64) (r Row, ok bool, err error)
	InstanceByName(ctx context.Context, name string) (r Row, ok bool, err error)
	// Instances returns those with ids after one, ascending.
	Instances(ctx context.Context, after uint64, limit int) ([]Row, error)
}

// Tx reads and writes inside a change.
type Tx interface {
	Reader
	NextID(ctx context.Context) (uint64, error)    // out of the one sequence of all ids; never given twice
	NextToken(ctx context.Context) (uint64, error) // of tokens; never given twice

	AddInstance(ctx context.Context, r Row) error
	SetInstance(ctx context.Context, r Row) error
	DropInstance(ctx context.Context, id uint64) error
}

// Store is where instances stand.
type Store interface {
	Reader
	In(tx *journal.Tx) Tx
}
