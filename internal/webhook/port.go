package webhook

import (
	"context"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// Sender posts to other hosts. It returns when ctx ends at the latest, bounds
// what it reads, follows no redirect and calls no address that it must not.
type Sender interface {
	Post(ctx context.Context, r Request) (Answer, error)
}

// Request is one try.
type Request struct {
	URL    string
	Header map[string]string
	Body   []byte
}

// Answer is what a receiver said to it.
type Answer struct {
	Status     int
	RetryAfter time.Duration // 0: it did not say
	Body       []byte        // its beginning, at most MaxAnswer bytes
}

// MaxAnswer bounds what is kept of a receiver's answer.
const MaxAnswer = 1 << 10

// Webhook is one endpoint.
type Webhook struct {
	ID       uint64
	Instance uint64 // 0: the one that gets every instance's events
	Main     bool   // the one of its instance that Set sets
	URL      string
	Enabled  bool
	Events   []string // those that it gets, in order; nil for all
	Format   Format
	Rate     float64 // tries a second; 0: no bound

	Created, Updated time.Time // Updated: by its owner

	Hold  Hold
	Error string // what its last failed try met, until all is well again; "" for nothing

	Taken time.Time // when it took something last, as far as that is stored (see tries); zero: never

	// What was dead and is not kept any more (see DeadBound): how many numbers, and
	// the highest of them.
	Dropped, DroppedTo uint64
}

// Hold is what an endpoint that could not be reached waits by.
type Hold struct {
	Since time.Time // zero: it is not on hold
	Tries int
	Next  time.Time
}

// Format is how an event's body is written.
type Format byte

// The formats: the frame of subscribers, or a CloudEvents 1.0 event in its
// structured JSON mode.
const (
	Kabar Format = iota
	CloudEvents
)

// Row is a webhook as it is stored.
type Row struct {
	Webhook
	Ref     string // the Idempotency-Key that made it, "" for none
	Version uint64 // another after whatever its worker must know of
	Start   uint64 // it gets what follows this in its topic, whatever was acknowledged

	// Sealed; Secret is empty for the one of all instances, whose secret is not
	// kept here. The old one signs beside it until OldUntil.
	Secret, OldSecret []byte
	Keys              uint64 // how often the Ed25519 key was replaced: each is derived from the folder's
	OldUntil          time.Time
}

// State says what became of events that were not taken.
type State byte

// The states of Kept.
const (
	Parked    State = iota // refused alone; tried again
	Dead                   // out of tries
	Replaying              // to be told again, because somebody asked for it
)

// Kept is an event that was not taken, or a range of them.
type Kept struct {
	Webhook     uint64
	First, Last uint64 // numbers in the webhook's topic; the same for one event. A range holds what the webhook does not get, too
	State       State
	Since       time.Time // of the first try
	Tries       int
	Next        time.Time // of what is tried again; zero: at once
	Reason      string
}

// DeadBound says which dead entries of a webhook are kept: of those that were
// tried since Oldest the newest Keep, and of those of which nothing can be read
// any more, which is below Floor, those since Swept.
type DeadBound struct {
	Keep          int
	Oldest, Swept time.Time
	Floor         uint64
}

// Totals is how all webhooks stand together.
type Totals struct {
	Webhooks, Held          int // enabled ones, and those of them that are on hold
	Parked, Dead, Replaying int // entries of Kept
}

// Reader is what can be read, from a snapshot or inside a change. ok is false
// where there is no such row.
type Reader interface {
	Webhook(ctx context.Context, id uint64) (r Row, ok bool, err error)
	WebhookOf(ctx context.Context, instance uint64) (r Row, ok bool, err error) // its main one
	WebhookBy(ctx context.Context, instance uint64, ref string) (r Row, ok bool, err error)
	// Webhooks returns those with ids after one, ascending; WebhooksOf an instance's.
	Webhooks(ctx context.Context, after uint64, limit int) ([]Row, error)
	WebhooksOf(ctx context.Context, instance, after uint64, limit int) ([]Row, error)
	CountWebhooks(ctx context.Context, instance uint64) (int, error)

	// Kept returns a webhook's that begin after a number, ascending.
	Kept(ctx context.Context, webhook uint64, state State, after uint64, limit int) ([]Kept, error)
	// Due is the parked one that is to be tried first.
	Due(ctx context.Context, webhook uint64) (k Kept, ok bool, err error)
	CountKept(ctx context.Context, webhook uint64, state State) (int, error)
	// KeptAcross returns those that begin before first and reach to it, or end
	// after last and begin before that: what reaches over a range's edges.
	KeptAcross(ctx context.Context, webhook, first, last uint64) ([]Kept, error)
	// DeadOver is how many numbers the dead entries have that a bound does not keep.
	DeadOver(ctx context.Context, webhook uint64, b DeadBound) (numbers uint64, err error)
	Totals(ctx context.Context) (Totals, error)

	Tries(ctx context.Context, webhook uint64, q TryQuery) ([]TryRow, error)
	LastTry(ctx context.Context) (id uint64, err error) // the highest of all webhooks; 0: there is none
}

// Tx reads and writes inside a change. A webhook goes with its instance, and
// what is kept of it with it.
type Tx interface {
	Reader
	NextID(ctx context.Context) (uint64, error) // out of the one sequence of all ids; never given twice

	AddWebhook(ctx context.Context, r Row) error
	SetWebhook(ctx context.Context, r Row) error // but for what never changes (Instance, Main, Created, Ref), Taken and Dropped
	DropWebhook(ctx context.Context, id uint64) error
	// DropOldSecret forgets a secret that was replaced, and holds no more.
	DropOldSecret(ctx context.Context, id uint64, now time.Time) error

	Keep(ctx context.Context, k Kept) error // in place of what begins at the same number
	DropKept(ctx context.Context, webhook, first uint64) error
	// DropKeptIn drops what is of a range, in part or as a whole.
	DropKeptIn(ctx context.Context, webhook, first, last uint64) error
	// ReplayDead makes the first of a webhook's dead ones replays, and returns how
	// many numbers they are.
	ReplayDead(ctx context.Context, webhook uint64, most int, now time.Time) (uint64, error)
	// TrimDead drops the dead entries that a bound does not keep, and counts them in
	// the webhook's Dropped.
	TrimDead(ctx context.Context, webhook uint64, b DeadBound) error
	// Hasten makes all due that a webhook has parked, or is to replay.
	Hasten(ctx context.Context, webhook uint64, now time.Time) error

	// AddTries stores tries of webhooks that are still there, as of now, and when
	// they took something last.
	AddTries(ctx context.Context, rows []TryRow, now time.Time, taken map[uint64]time.Time) error
	// TrimTries leaves of each webhook the newest tries, none that was stored before
	// oldest.
	TrimTries(ctx context.Context, webhooks []uint64, keep int, oldest time.Time) error
}

// Store is where webhooks stand.
type Store interface {
	Reader
	In(tx *journal.Tx) Tx
}
