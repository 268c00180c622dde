package lifecycle

import (
	"context"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// Subject is what is kept of a subject: what was said of it last.
type Subject struct {
	Name   string
	Number uint64    // of the last event about it
	Up     bool      // it is there; never of sessions
	Since  time.Time // when that began; of sessions, when the last one closed
}

// Kept is an open session's row.
type Kept struct {
	ID uint64 // higher than those of all that are kept when it opens
	Session
}

// Reader is what can be read, from a snapshot or inside a change. of is the id
// of the instance whose events they are about; they go with it.
type Reader interface {
	// Subjects returns those of these names that there are, in any order.
	Subjects(ctx context.Context, of uint64, names []string) ([]Subject, error)
	// Up returns those that are up with names after one, ascending.
	Up(ctx context.Context, of uint64, after string, limit int) ([]Subject, error)
	// Sessions returns the open ones that are kept with ids up to one, ascending.
	Sessions(ctx context.Context, of, upTo uint64, limit int) ([]Kept, error)
	// LastSession is the highest id of those, 0 where there are none.
	LastSession(ctx context.Context, of uint64) (uint64, error)
}

// Tx reads and writes inside a change.
type Tx interface {
	Reader
	SetSubjects(ctx context.Context, of uint64, list []Subject) error
	AddSessions(ctx context.Context, of uint64, list []Kept) error
	DropSessions(ctx context.Context, of uint64, ids []uint64) error
}

// Store is where subjects stand.
type Store interface {
	Reader
	In(tx *journal.Tx) Tx
}
