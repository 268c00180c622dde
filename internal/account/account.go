package account

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// What a caller may learn. A gateway tells them apart by reason.
var (
	ErrUserNotFound      = status.Errorf(status.NotFound, "USER_NOT_FOUND", "there is no such user")
	ErrAlreadyRegistered = status.Errorf(status.Conflict, "ALREADY_REGISTERED", "this address is registered already; log in instead")

	// Logging in. The first two say the same to people, so that only a gateway
	// that means to can tell whether a name exists.
	ErrUnknownName   = status.Errorf(status.Unauthenticated, "USER_NOT_FOUND", "the name or the password is wrong")
	ErrWrongPassword = status.Errorf(status.Unauthenticated, "WRONG_PASSWORD", "the name or the password is wrong")
	ErrSuspended     = status.Errorf(status.Forbidden, "SUSPENDED", "this account is suspended")

	ErrTokenInvalid = status.Errorf(status.Unauthenticated, "TOKEN_INVALID", "this is not a login's token; log in to get one")
	ErrLoginEnded   = status.Errorf(status.Unauthenticated, "LOGIN_ENDED", "this login has ended; log in again")
	ErrCodeInvalid  = status.Errorf(status.Unauthenticated, "CODE_INVALID", "this is not a one-time code; ask for one")
	ErrCodeExpired  = status.Errorf(status.Unauthenticated, "CODE_EXPIRED", "this one-time code has expired; ask for a new one")
	ErrCodeSpent    = status.Errorf(status.Unauthenticated, "CODE_SPENT", "this one-time code was used already; ask for a new one")

	// Mailed codes.
	ErrMailFailed       = status.Errorf(status.Unavailable, "MAIL_FAILED", "the mail could not be sent; try again later")
	ErrMailCodeUnknown  = status.Errorf(status.NotFound, "MAIL_CODE_UNKNOWN", "no code was asked for with this address")
	ErrMailCodeWrong    = status.Errorf(status.Invalid, "MAIL_CODE_WRONG", "this is not the code that was mailed")
	ErrMailCodeExpired  = status.Errorf(status.Invalid, "MAIL_CODE_EXPIRED", "this code has expired or was used already; ask for a new one")
	ErrTooManyMailCodes = status.Errorf(status.TooMany, "TOO_MANY_MAIL_CODES", "too many codes were asked for or tried with this address; try again in ten minutes, or tomorrow")

	ErrTicketInvalid = status.Errorf(status.Unauthenticated, "TICKET_INVALID", "this socket id is unknown, was replaced, or its login has ended; ask for a new one")
	ErrHandleTaken   = status.Errorf(status.Conflict, "HANDLE_TAKEN", "somebody has this handle already; choose another")
	ErrHandleInvalid = status.Errorf(status.Invalid, "HANDLE_INVALID", "a handle has 3 to 20 of the characters A-Z, a-z, 0-9, dot and underscore, and is not u with a number")
	ErrSetupInvalid  = status.Errorf(status.Unauthenticated, "SETUP_INVALID", "this is not the setup code, or it was used already; start the server again to get a new one")

	ErrTooManyRegistrations = status.Errorf(status.TooMany, "TOO_MANY_REGISTRATIONS", "too many registrations from this address; try again in a minute")
	ErrTooManyLogins        = status.Errorf(status.TooMany, "TOO_MANY_LOGINS", "too many logins from this address; try again in a minute")
	ErrTooManyPasswords     = status.Errorf(status.TooMany, "TOO_MANY_PASSWORDS", "too many wrong passwords; try again in a few minutes")
	ErrTooManyCodes         = status.Errorf(status.TooMany, "TOO_MANY_CODES", "too many refused codes from this address; try again in a minute")
)

// Options says what accounts stand on. Zero values are the defaults named.
type Options struct {
	Journal *journal.Journal
	Store   Store
	Key     []byte // the data folder's signing key, 32 bytes or more

	LoginIdle       time.Duration // how long a login lives without being used; 7 days
	LoginEnd        time.Duration // how long it lives at all; 365 days
	CodeTTL         time.Duration // a one-time code's life; 60 s
	HashConcurrency int           // passwords hashed at once; as many as processors
	HashCost        HashCost      // what a new password's hash costs; 19 MiB, twice
	Mailer          Mailer        // nil: no mail can be sent
	Limits          Limits        // all off

	Now func() time.Time // time.Now
	Log *slog.Logger     // slog.Default(); why a mail could not be sent
}

// Limits bounds guessing and flooding. A zero Limit is off; so is every limit
// by address where the caller passes no address.
type Limits struct {
	WrongPasswords Limit // of an account: guessing one person's password
	Registrations  Limit // of an address: filling the database
	Logins         Limit // of an address: trying one password on many, and burning processors on hashes
	RefusedCodes   Limit // of an address: making the server check signatures
}

func (o *Options) validate() error {
	if o.Journal == nil || o.Store == nil {
		return errors.New("account: a journal and a store are needed")
	}
	if len(o.Key) < 32 {
		return fmt.Errorf("account: the signing key has %d bytes and needs 32", len(o.Key))
	}
	if o.LoginIdle < 0 || o.LoginEnd < 0 || o.CodeTTL < 0 || o.HashConcurrency < 0 {
		return errors.New("account: a time or a count is below zero")
	}
	if o.LoginIdle == 0 {
		o.LoginIdle = 7 * 24 * time.Hour
	}
	if o.LoginEnd == 0 {
		o.LoginEnd = 365 * 24 * time.Hour
	}
	if o.CodeTTL == 0 {
		o.CodeTTL = time.Minute
	}
	if o.HashConcurrency == 0 {
		o.HashConcurrency = runtime.GOMAXPROCS(0)
	}
	if o.HashCost == (HashCost{}) {
		o.HashCost = HashCost{Memory: 19 * 1024, Passes: 2, Threads: 1}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o.HashCost.validate()
}

// Service is the accounts.
type Service struct {
	// static
	o       Options
	hasher  *hasher
	signer  signer
	started time.Time // to the second, as codes say theirs

	waiting *codes      // guards itself
	known   *liveLogins // guards itself

	passwords, registrations, logins, codes *Limiter      // each guards itself
	mailing                                 chan struct{} // a place for each mail that is under way

	mailCodesRefused atomic.Int64

	swept time.Time // owned by the journal's writer: when rows that are over were last removed

	setupMu sync.Mutex
	setup   []byte // guarded by setupMu: the hash of the setup code, nil for none
}

// New makes the service. It starts nothing.
func New(o Options) (*Service, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Service{
		o: o, hasher: newHasher(o.HashCost, o.HashConcurrency), signer: newSigner(o.Key, o.Now), started: o.Now().Truncate(time.Second),
		waiting: newCodes(), known: newLiveLogins(),
		passwords:     NewLimiter(o.Limits.WrongPasswords),
		registrations: NewLimiter(o.Limits.Registrations),
		logins:        NewLimiter(o.Limits.Logins),
		codes:         NewLimiter(o.Limits.RefusedCodes),
		mailing:       make(chan struct{}, maxMailing),
	}, nil
}

// Inbox is the topic of all that concerns a user.
func Inbox(user uint64) string { return "user/" + strconv.FormatUint(user, 10) }

// LoginCredential is what sessions of a login rest on, as a message's Ends names it.
func LoginCredential(login uint64) string { return "login/" + strconv.FormatUint(login, 10) }

// background is for what runs inside a change: half a change would be worse
// than a late one, and the journal's goroutine waits for nobody.
var background = context.Background()

// change hands a change over and waits for it.
func (s *Service) change(ctx context.Context, f func(tx *journal.Tx, t Tx) ([]*journal.Message, error)) error {
	_, err := s.do(journal.Key{}, f).Wait(ctx)
	return err
}

func (s *Service) do(k journal.Key, f func(tx *journal.Tx, t Tx) ([]*journal.Message, error)) *journal.Pending {
	return s.o.Journal.DoOnce(k, s.as(f))
}

// as is f as a change.
func (s *Service) as(f func(tx *journal.Tx, t Tx) ([]*journal.Message, error)) journal.Change {
	return journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		return f(tx, &noting{Tx: s.o.Store.In(tx), tx: tx, known: s.known})
	})
}

// now is cut to what the store keeps, so that a login read back is the same.
func (s *Service) now() time.Time { return s.o.Now().UTC().Truncate(time.Millisecond) }
