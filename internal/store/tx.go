package store

import (
	"context"

	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
)

// Tx is the write transaction: the journal's Batch, and behind tx.Batch() the
// port of each core package. It lives on the writer's one connection, so
// BEGIN, savepoints and COMMIT are statements like any other.
type Tx struct {
	queries
	aside   queries // outside of the transaction (see lookUps)
	senders *senders
	chats   chat.Tx // this one, as chat sees it; nil until it is asked for
	over    error   // why SQLite may have rolled back by itself
	touched bool    // the change that runs has written, so its savepoint is open
}

// In is the store's side of a journal transaction.
func In(tx *journal.Tx) *Tx { return tx.Batch().(*Tx) }

// Begin opens the write transaction. After one that was aborted it does so on a
// new connection.
func (s *Store) Begin(ctx context.Context) (journal.Batch, error) {
	t := &Tx{queries: s.batch, aside: s.aside, senders: s.senders}
	t.queries.tx = t
	if err := s.renew(ctx); err != nil {
		return t, err
	}
	_, err := t.execRaw(ctx, "BEGIN IMMEDIATE")
	if err != nil {
		s.disk.doubtful = true
	}
	return t, err
}

// The transaction's own statements must not be cut short by a caller that
// went away: half a group would be worse than a late one.
var background = context.Background()

// Mark begins a change. Its savepoint is opened by its first write: most
// changes only append messages, and need none.
func (t *Tx) Mark() error {
	t.touched = false
	return nil
}

func (t *Tx) touch() error {
	if t.touched {
		return nil
	}
	t.touched = true
	_, err := t.execRaw(background, "SAVEPOINT change")
	return err
}

// Keep ends a change that went well.
func (t *Tx) Keep() error {
	if t.over != nil {
		return t.over
	}
	if !t.touched {
		return nil
	}
	t.touched = false
	_, err := t.execRaw(background, "RELEASE change")
	return err
}

// Undo takes back what the change wrote.
func (t *Tx) Undo() error {
	if t.over != nil {
		return t.over
	}
	if !t.touched {
		return nil
	}
	t.touched = false
	t.senders.forget()
	if _, err := t.execRaw(background, "ROLLBACK TO change"); err != nil {
		return err
	}
	_, err := t.execRaw(background, "RELEASE change")
	return err
}

// Commit makes everything durable.
func (t *Tx) Commit() error {
	if t.over != nil {
		return t.over
	}
	_, err := t.execRaw(background, "COMMIT")
	return err
}

// Abort takes everything back. Why it had to is known already, so what SQLite
// says to it is not: it may have done so itself, and the connection goes.
func (t *Tx) Abort() error {
	t.senders.forget()
	t.disk.doubtful = true
	_, _ = t.execRaw(background, "ROLLBACK")
	return nil
}
