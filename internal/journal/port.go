package journal

import (
	"context"
	"time"
)

// Row is one appended row of the journal.
type Row struct {
	Pos  uint64 // 1, 2, 3, … over all topics
	Data []byte
}

// Chunk is a run of one topic's index: the row of seq First, First+1, ….
type Chunk struct {
	Topic     string
	First     uint64
	Positions []uint64 // ascending
}

// Ends is where a topic begins and ends: the first number that can be read, 1
// or more, and the last one given, which is Floor-1 where nothing can be.
type Ends struct{ Floor, Head uint64 }

// Due is a topic of which rows can go: those of Swept and after, below Floor.
type Due struct {
	Topic        string
	Swept, Floor uint64
}

// Ref is a remembered Key: the change's first row and how many it made.
type Ref struct {
	Key
	Pos   uint64
	Count int
	At    time.Time
}

// Derived is what a batch adds to the index, and the row up to which the index
// is complete with it.
type Derived struct {
	Chunks []Chunk // sorted by topic and first
	Refs   []Ref   // sorted by scope and ref
	Mark   uint64
}

// State is what a store knows when it is opened.
type State struct {
	Epoch string // new after every restore
	Mark  uint64
}

// Reader is what can be read, from a snapshot or inside a batch.
type Reader interface {
	// Rows returns the rows after pos in order, at most limit.
	Rows(ctx context.Context, after uint64, limit int) ([]Row, error)
	// RowsAt returns the rows at these ascending positions; one that is gone is left out.
	RowsAt(ctx context.Context, positions []uint64) ([]Row, error)
	// RowBefore is the last row before pos that is there, ok false for none.
	RowBefore(ctx context.Context, pos uint64) (row Row, ok bool, err error)
	// Ends is where a topic begins and ends in the stored index.
	Ends(ctx context.Context, topic string) (Ends, error)
	// ChunksFrom returns the topic's chunks in order, from the one that holds
	// seq, at most limit.
	ChunksFrom(ctx context.Context, topic string, seq uint64, limit int) ([]Chunk, error)
	// Refs finds those of the keys that are remembered.
	Refs(ctx context.Context, keys []Key) ([]Ref, error)
	// Damaged notes that what was read cannot be right, and returns what to
	// tell whoever wanted it: ErrDamaged, with words.
	Damaged(what error) error
}

// Store is where the journal stands. There is one batch at a time.
type Store interface {
	Reader
	State(ctx context.Context) (State, error)
	Begin(ctx context.Context) (Batch, error)
	Due(ctx context.Context, limit int) ([]Due, error)
}

// Batch is the one write transaction. Mark, Keep and Undo bracket one change:
// Undo takes back what was written since Mark. A batch ends with Commit, after
// which everything in it is durable, or with Abort.
type Batch interface {
	Reader
	Mark() error
	Keep() error
	Undo() error
	Append(rows []Row) error
	Derive(d Derived) error
	Raise(topic string, floor uint64) error // never back
	Replace(row Row) error
	Forget(key Key) error                  // what is remembered of it
	Drop(positions []uint64) error         // deletes rows
	Swept(topic string, upTo uint64) error // rows below upTo have gone, as far as they may: the index that finds them alone can go
	Probe() error                          // writes something that nobody reads: can anything be written?
	Commit() error
	Abort() error
}
