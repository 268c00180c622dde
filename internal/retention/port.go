package retention

import (
	"context"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// Store is where the passes stand, and what they delete beside the journal.
type Store interface {
	// Scanned is how far rows were looked at under a name, 0 for not yet.
	Scanned(ctx context.Context, name string) (pos uint64, err error)
	SetScanned(tx *journal.Tx, name string, pos uint64) error

	// Refs returns what is remembered of keys after one, in the order of scope
	// and ref.
	Refs(ctx context.Context, after journal.Key, limit int) ([]journal.Ref, error)
	// DropRefs forgets them, but for those whose key was used again since they
	// were read: that is another Ref, at another row.
	DropRefs(tx *journal.Tx, refs []journal.Ref) error

	// Orphans looks at positions after an owner, at most limit: the owners of
	// which are gone, and the last owner that was looked at, "" for the end.
	Orphans(ctx context.Context, after string, limit int) (gone []string, last string, err error)
	DropPositions(tx *journal.Tx, owners []string) error

	// Truncate empties the write-ahead log, so that what was deleted is not in
	// it either; false where somebody reads from it at this moment.
	Truncate(ctx context.Context) (bool, error)
	// Size is the bytes of the database, and how many of them are free.
	Size(ctx context.Context) (bytes, free int64, err error)
}

// Policy is what a topic keeps: messages that are not older, not more, and
// together not longer than that. 0 is no bound.
type Policy struct {
	Age   time.Duration
	Count uint64
	Bytes int64
}

// Kind is a kind of topics and its policy.
type Kind struct {
	Name string // its topics are Name, and those that begin with Name and a slash
	Policy
	// Spare is how long a message is kept whatever the policy says: who is
	// about to read it, or must be tried for that long, does not miss it.
	Spare time.Duration
}
