package personal

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
)

// The bounds of a slice, and of those who are erased together: one walk through
// the journal is for all of them.
const (
	page    = 256
	slice   = 64
	unsaved = 64 // pages without anything to do, after which it is stored how far the walk came
	maxOpen = 1000
)

// again is how long it waits after something failed.
const again = 10 * time.Second

// Options says what it stands on.
type Options struct {
	Journal  *journal.Journal
	Store    Store
	Accounts *account.Service
	Chats    *chat.Service
	Soon     func()       // asks for what was let go to be deleted now
	Log      *slog.Logger // nil: slog.Default()
}

// Service erases and exports. Make one with New; Run works.
type Service struct {
	o    Options       // static
	wake chan struct{} // one place: somebody is to be erased
}

// New makes the service. It starts nothing.
func New(o Options) (*Service, error) {
	if o.Journal == nil || o.Store == nil || o.Accounts == nil || o.Chats == nil || o.Soon == nil {
		return nil, errors.New("personal: a journal, a store, accounts, chats and a sweeper are needed")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Service{o: o, wake: make(chan struct{}, 1)}, nil
}

// background is for what runs inside a change, which waits for nobody.
var background = context.Background()

// Erase begins to erase somebody: when it returns, the account is closed, and
// nobody's. Erasing twice is erasing once. Who never was is account.ErrUserNotFound.
func (s *Service) Erase(ctx context.Context, user uint64) (Erasure, error) {
	e := Erasure{User: user}
	_, err := s.o.Journal.Do(journal.All(s.o.Accounts.Erase(user), journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		t := s.o.Store.In(tx)
		was, ok, err := t.Erasure(background, user)
		if err != nil || ok {
			e = was
			return nil, err
		}
		e.Begun = tx.Now().Truncate(time.Millisecond)
		tx.After(func() { // also where nobody waits for it any more
			select {
			case s.wake <- struct{}{}:
			default:
			}
		})
		return nil, t.SetErasure(background, e)
	}))).Wait(ctx)
	if err != nil {
		return Erasure{}, err
	}
	return e, nil
}

// Erasure is how far erasing somebody came, ok false where nobody asked for it.
func (s *Service) Erasure(ctx context.Context, user uint64) (e Erasure, ok bool, err error) {
	return s.o.Store.Erasure(ctx, user)
}

// Run erases whoever is to be, also those whom a server that was killed had
// begun to, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		some, err := s.round(ctx)
		var later <-chan time.Time
		if err != nil && ctx.Err() == nil {
			s.o.Log.Warn("somebody's data could not be erased; this is tried again", "error", err)
			later = time.After(again)
		}
		if some {
			continue
		}
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-later:
		}
	}
	return nil
}

// round erases those who are to be at this moment; some says that it did.
func (s *Service) round(ctx context.Context) (some bool, err error) {
	open, err := s.o.Store.Open(ctx, maxOpen)
	if err != nil || len(open) == 0 {
		return false, err
	}
	gone, pos := make(map[uint64]bool, len(open)), open[0].Pos
	for _, e := range open {
		gone[e.User], pos = true, min(pos, e.Pos)
		for more := true; more; {
			began := time.Now()
			if more, err = s.o.Chats.Withdraw(ctx, e.User); err != nil {
				return false, err
			}
			if err := pause(ctx, time.Since(began)); err != nil {
				return false, err
			}
		}
	}
	if pos, err = s.walk(ctx, open, gone, pos); err != nil {
		return false, err
	}
	if err := s.reached(ctx, open, pos); err != nil {
		return false, err
	}
	var errs []error // an inbox may be damaged, which is nothing to the others
	for _, e := range open {
		e.Pos = pos
		errs = append(errs, s.end(ctx, e))
	}
	s.o.Soon()
	err = errors.Join(errs...)
	return err == nil, err
}

// walk looks at every row that is not looked at yet. What is said from now on
// names nobody who was erased: the account has no name any more.
func (s *Service) walk(ctx context.Context, open []Erasure, gone map[uint64]bool, pos uint64) (uint64, error) {
	for n := 1; ; n++ {
		began := time.Now()
		ms, last, err := s.o.Journal.Walk(ctx, pos, page)
		if err != nil || last == pos {
			return pos, err
		}
		pos = last
		var ids []string
		for _, m := range ms {
			if chat.Concerns(m, gone) {
				ids = append(ids, m.ID)
			}
		}
		for len(ids) > 0 {
			part := ids[:min(slice, len(ids))]
			ids = ids[len(part):]
			err := s.do(ctx, func(tx *journal.Tx) error { return s.o.Chats.Redact(tx, part, gone) })
			if err != nil {
				return pos, err
			}
			if err := pause(ctx, time.Since(began)); err != nil {
				return pos, err
			}
			began = time.Now()
		}
		if n%unsaved == 0 {
			if err := s.reached(ctx, open, pos); err != nil {
				return pos, err
			}
		}
	}
}

// reached stores how far the walk came.
func (s *Service) reached(ctx context.Context, open []Erasure, pos uint64) error {
	return s.do(ctx, func(tx *journal.Tx) error {
		t := s.o.Store.In(tx)
		for _, e := range open {
			e.Pos = pos
			if err := t.SetErasure(background, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// end empties the inbox, and notes that all is done.
func (s *Service) end(ctx context.Context, e Erasure) error {
	return s.do(ctx, func(tx *journal.Tx) error {
		inbox := account.Inbox(e.User)
		head, err := tx.Head(inbox)
		if err != nil {
			return err
		}
		if err := tx.Raise(inbox, head+1); err != nil {
			return err
		}
		e.Ended = tx.Now()
		return s.o.Store.In(tx).SetErasure(background, e)
	})
}

func (s *Service) do(ctx context.Context, f func(tx *journal.Tx) error) error {
	_, err := s.o.Journal.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) { return nil, f(tx) })).Wait(ctx)
	return err
}

// pause leaves the writer to others for a while.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
