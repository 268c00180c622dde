package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// What a caller may learn.
var (
	ErrNoProcess        = status.Errorf(status.NotFound, "NO_PROCESS", "there is no such process")
	ErrNoVersion        = status.Errorf(status.NotFound, "NO_VERSION", "the process has no such version")
	ErrNoEndpoint       = status.Errorf(status.NotFound, "NO_ENDPOINT", "there is no endpoint at this url")
	ErrReserved         = status.Errorf(status.Conflict, "URL_RESERVED", "this url belongs to something else; choose another")
	ErrTaken            = status.Errorf(status.Conflict, "URL_TAKEN", "another process stands at this url")
	ErrBadURL           = status.Errorf(status.Invalid, "URL_INVALID", "this is not a url of an endpoint")
	ErrBadName          = status.Errorf(status.Invalid, "NAME_INVALID", "a process is named by up to 64 of A-Z a-z 0-9 . _ -, the first a letter or a digit")
	ErrTooManyProcesses = status.Errorf(status.Conflict, "TOO_MANY_PROCESSES", "there are as many processes as there can be; delete one first")
	ErrTooManyEndpoints = status.Errorf(status.Conflict, "TOO_MANY_ENDPOINTS", "there are as many endpoints as there can be; delete one first")
)

// Options says what processes stand on. Zero values are the defaults named.
type Options struct {
	Journal   *journal.Journal
	Store     Store
	Hub       *hub.Hub
	Acked     *hub.Collector
	Accounts  *account.Service
	Chats     *chat.Service
	Instances *instance.Service
	Caller    Caller // nil: a call fails
	Key       []byte // the data folder's signing key, 32 bytes or more

	Reserved func(path string) bool // whether a URL belongs to something else; nil: none does
	Timeout  time.Duration          // of a run; 5 s
	Log      *slog.Logger           // nil: slog.Default()
}

func (o *Options) validate() error {
	switch {
	case o.Journal == nil || o.Store == nil || o.Hub == nil || o.Acked == nil:
		return errors.New("process: a journal, a store, a hub and its positions are needed")
	case o.Accounts == nil || o.Chats == nil || o.Instances == nil:
		return errors.New("process: accounts, chats and instances are needed")
	case len(o.Key) < 32:
		return fmt.Errorf("process: the signing key has %d bytes and needs 32", len(o.Key))
	case o.Timeout < 0 || o.Timeout > maxTimeout:
		return fmt.Errorf("process: a run's time is %s; it is from 0 to %s", o.Timeout, maxTimeout)
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Reserved == nil {
		o.Reserved = func(string) bool { return false }
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return nil
}

// Service is the processes and their endpoints.
type Service struct {
	o      Options // static
	trial  *gate   // static; of all trials together
	live   atomic.Pointer[registry]
	poke   chan struct{} // Run looks at what is published
	counts counts

	changing chan struct{}   // holds one while what is published is changed and read again
	dropped  map[string]bool // guarded by changing: the URLs that are bound and not served
	watchers atomic.Pointer[[]func(url string)]
}

// counts are the service's counters.
type counts struct {
	runs, failed, timeouts, loops, calls, events atomic.Int64
}

// Stats is what there is, and what was done so far.
type Stats struct {
	Processes, Endpoints int   // published
	Runs                 int64 // of rules, trials not counted
	Failed               int64 // of them
	Timeouts             int64 // of them, too
	Loops                int64 // triggers refused because processes cause each other
	Calls                int64 // of other hosts
	Events               int64 // heard
}

// New makes the service. It starts nothing.
func New(o Options) (*Service, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Service{o: o, trial: newGate(), poke: make(chan struct{}, 1), changing: make(chan struct{}, 1)}
	s.live.Store(&registry{})
	s.watchers.Store(new([]func(string)))
	return s, nil
}

// Stats is what there is, and what was done so far.
func (s *Service) Stats() Stats {
	r, c := s.live.Load(), &s.counts
	return Stats{
		Processes: len(r.processes), Endpoints: len(r.list), Runs: c.runs.Load(), Failed: c.failed.Load(),
		Timeouts: c.timeouts.Load(), Loops: c.loops.Load(), Calls: c.calls.Load(), Events: c.events.Load(),
	}
}

// background is for what runs inside a change, which waits for nobody.
var background = context.Background()

// change hands a change over and waits for it to its end, so that it is put in
// force.
func (s *Service) change(ctx context.Context, f func(tx *journal.Tx, t Tx) error) error {
	return s.o.Journal.Finish(ctx, journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		return nil, f(tx, s.o.Store.In(tx))
	}))
}
