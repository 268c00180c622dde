package account

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/kabar-io/kabar/internal/journal"
)

// Ticket is a second secret of a login, for its sockets alone. A login has one
// at a time, which ends with it or is replaced by the next.
type Ticket struct {
	ID    uint64 // never given twice
	Login uint64

	// Positions in the user's inbox: Head is where it stood when the ticket was
	// made, and Start where it stood when the login's first one was. From there
	// on its sockets are owed what no other way than theirs leads to, but for
	// what they acknowledged.
	Start, Head uint64
}

// KindTicketReplaced is the kind of the message that ends a ticket's sessions.
const KindTicketReplaced = "ticket.replaced"

// TicketReplaced is what a "ticket.replaced" message says of the old ticket.
type TicketReplaced struct {
	Login  uint64 `json:"login"`
	Ticket uint64 `json:"ticket"`
}

// TicketCredential is what sessions of a ticket rest on, as a message's Ends names it.
func TicketCredential(id uint64) string { return "ticket/" + strconv.FormatUint(id, 10) }

// OpenTicket makes a ticket for a login and replaces the one that it had, or,
// alone, those of all the user's logins.
func (s *Service) OpenTicket(ctx context.Context, l Login, alone bool) (string, Ticket, error) {
	secret, ticket := rand.Text(), Ticket{Login: l.ID}
	err := s.change(ctx, func(tx *journal.Tx, t Tx) ([]*journal.Message, error) {
		u, l, err := s.live(t.Login(background, l.ID))
		if err != nil {
			return nil, err
		}
		old, err := t.TicketsOf(background, l.User)
		if err != nil {
			return nil, err
		}
		var ms []*journal.Message
		for _, o := range old {
			if o.Login != l.ID && !alone {
				continue
			}
			if err := t.DropTicket(background, o.Login); err != nil {
				return nil, err
			}
			m, err := replaced(l.User, o)
			if err != nil {
				return nil, err
			}
			ms = append(ms, m)
		}
		if ticket.ID, err = t.NextTicket(background); err != nil {
			return nil, err
		}
		if ticket.Head, err = tx.Head(Inbox(l.User)); err != nil {
			return nil, err
		}
		last, had, err := t.LastTicket(background, l.ID)
		if err != nil {
			return nil, err
		}
		if ticket.Start = ticket.Head; had {
			ticket.Start = last.Start
		}
		if err := t.SetTicket(background, ticket, hashOf(secret)); err != nil {
			return nil, err
		}
		// Whoever opens a ticket comes back with it: it is known from here on.
		tx.After(func() { s.known.opened(liveLogin{user: u, login: l, ticket: ticket, secret: digestOf(secret)}) })
		return ms, nil
	})
	if err != nil {
		return "", Ticket{}, err
	}
	return secret, ticket, nil
}

func replaced(user uint64, t Ticket) (*journal.Message, error) {
	data, err := json.Marshal(TicketReplaced{t.Login, t.ID})
	return &journal.Message{
		Kind: KindTicketReplaced, From: user, Entries: journal.To(Inbox(user)), Data: data, Ends: TicketCredential(t.ID),
	}, err
}

// TicketLogin is whose ticket a secret is. Using it makes its login live on.
func (s *Service) TicketLogin(ctx context.Context, secret string) (User, Login, Ticket, error) {
	hash := digestOf(secret)
	known, changes := s.known.find(s.o.Now(), func() *liveLogin { return s.known.byTicket[hash] })
	var l liveLogin
	ok, err := known != nil, error(nil)
	if ok {
		l = *known
	} else {
		l.secret = hash
		l.user, l.login, l.ticket, ok, err = s.o.Store.LoginByTicket(ctx, hash[:])
	}
	l.user, l.login, err = s.live(l.user, l.login, ok, err)
	if errors.Is(err, ErrLoginEnded) {
		err = ErrTicketInvalid
	}
	if err != nil {
		return User{}, Login{}, Ticket{}, err
	}
	if known == nil {
		s.known.keep(changes, l)
	}
	return l.user, s.Touch(l.login), l.ticket, nil
}
