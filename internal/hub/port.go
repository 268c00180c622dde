package hub

import (
	"context"

	"github.com/kabar-io/kabar/internal/journal"
)

// Conn is one connected client's sending side: a WebSocket, an SSE stream, a
// test's slice.
type Conn interface {
	// Send hands over encoded frames, all or none, without waiting. The bytes
	// are the hub's again after it returns. false: there is no room; the
	// session's Drained must be called once there is. A closed Conn says true.
	Send(frames ...[]byte) bool
	// Share is Send for what goes to many, as one piece. Where it cannot leave
	// at once, a connection may hold what keep returns instead of a copy of its
	// own: the same bytes, which nobody changes any more, for all that ask. keep
	// is for any goroutine, until Share returns.
	Share(frames []byte, keep func() []byte) bool
	// Close ends the connection with a WebSocket close code, without waiting.
	Close(code uint16, reason string)
}

// Format is how one dialect, with its options, writes messages. It is a pure
// and comparable value: sessions of equal formats get the same bytes.
type Format interface {
	// Append appends the message as a Conn of this dialect sends it, or
	// nothing where the dialect does not say it. seq is its number in the
	// session's topic, 0 for what is not kept.
	Append(dst []byte, m *journal.Message, seq uint64) []byte
}

// Ender is a Format that says in its own way that a session's credential ended:
// with a last frame (nil for none), a close code and a reason. The others close
// with 4001.
type Ender interface {
	End(m *journal.Message) (frame []byte, code uint16, reason string)
}

// Log is the record that sessions catch up from; *journal.Journal is one.
type Log interface {
	Epoch() string
	Head(ctx context.Context, topic string) (uint64, error)
	Floor(ctx context.Context, topic string) (uint64, error) // the first number that can be read
	// Read is journal.ErrExpired where what follows after is below the floor.
	Read(ctx context.Context, topic string, after uint64, limit int) ([]*journal.Message, error)
	Watch(func(journal.Amended))
}

// Acked is up to where an owner has everything of a topic.
type Acked struct {
	Owner, Topic string // "login/4", "consumer/2/billing"
	Seq          uint64
}

// Positions keeps acknowledged positions; the store does.
type Positions interface {
	Position(ctx context.Context, owner string) (seq uint64, ok bool, err error)
	// PositionsUnder are those of owner and of owner/…, by name.
	PositionsUnder(ctx context.Context, owner string) ([]Acked, error)
	SavePositions(tx *journal.Tx, acked []Acked) error
	// FirstPosition keeps a position for an owner that has none.
	FirstPosition(tx *journal.Tx, a Acked) error
}
