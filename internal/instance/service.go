package instance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// What a caller may learn. A gateway tells them apart by reason.
var (
	ErrNotFound  = status.Errorf(status.NotFound, "INSTANCE_NOT_FOUND", "there is no such instance")
	ErrNameTaken = status.Errorf(status.Conflict, "INSTANCE_NAME_TAKEN", "there is an instance of this name already; choose another")

	ErrTokenInvalid = status.Errorf(status.Unauthenticated, "TOKEN_INVALID", "this is not an instance's token")
	ErrTokenExpired = status.Errorf(status.Unauthenticated, "TOKEN_EXPIRED", "this token has expired; refresh it")
	ErrTokenEnded   = status.Errorf(status.Unauthenticated, "TOKEN_ENDED", "this token was refreshed, or its instance deleted; use the new one")
)

// Options says what instances stand on. Zero values are the defaults named.
type Options struct {
	Journal *journal.Journal
	Store   Store
	Key     []byte // the data folder's signing key, 32 bytes or more

	APIName  string        // who made a token, as it says itself; "kabar"
	TokenTTL time.Duration // a token's life; for ever
	Names    []string      // event names beside the built-in ones
	All      bool          // each event enters AllTopic too, for who hears every instance

	Made func(name string) // an instance was made; it must not wait. nil: nobody asks

	Now func() time.Time // time.Now
}

func (o *Options) validate() error {
	if o.Journal == nil || o.Store == nil {
		return errors.New("instance: a journal and a store are needed")
	}
	if len(o.Key) < 32 {
		return fmt.Errorf("instance: the signing key has %d bytes and needs 32", len(o.Key))
	}
	if o.TokenTTL < 0 {
		return errors.New("instance: a token's life is below zero")
	}
	if o.APIName == "" {
		o.APIName = "kabar"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Service is the instances.
type Service struct {
	// static
	o      Options
	names  *Names
	signer signer
}

// New makes the service. It starts nothing.
func New(o Options) (*Service, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	names, err := newNames(o.Names)
	if err != nil {
		return nil, err
	}
	return &Service{o: o, names: names, signer: newSigner(o.Key, o.Now)}, nil
}

// Names are the names that events may have.
func (s *Service) Names() *Names { return s.names }

// background is for what runs inside a change, which waits for nobody.
var background = context.Background()

// change hands a change over and waits for it.
func (s *Service) change(ctx context.Context, f func(tx *journal.Tx, t Tx) ([]*journal.Message, error)) error {
	_, err := s.o.Journal.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		return f(tx, s.o.Store.In(tx))
	})).Wait(ctx)
	return err
}

// GetIn is one instance, inside a change: what the change does rests on it.
func (s *Service) GetIn(tx *journal.Tx, ref Ref) (Instance, error) {
	row, err := ref.find(background, s.o.Store.In(tx))
	return row.Instance, err
}

// Ref says which instance is meant, and what the caller's right to it rests on.
type Ref struct {
	id    uint64
	name  string // where id is 0
	token uint64 // must still be the instance's, 0 for a caller who needs none
}

// ByID is the instance with this id, and no later one of its name.
func ByID(id uint64) Ref { return Ref{id: id} }

// ByName is the instance that has this name when it is asked for.
func ByName(name string) Ref { return Ref{name: name} }

// find is the instance that ref means.
func (ref Ref) find(ctx context.Context, r Reader) (Row, error) {
	var row Row
	var ok bool
	var err error
	if ref.id != 0 {
		row, ok, err = r.Instance(ctx, ref.id)
	} else {
		row, ok, err = r.InstanceByName(ctx, ref.name)
	}
	switch {
	case err != nil:
		return Row{}, err
	case ref.token != 0 && (!ok || row.Token != ref.token):
		return Row{}, ErrTokenEnded
	case !ok:
		return Row{}, ErrNotFound
	}
	return row, nil
}
