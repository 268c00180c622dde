package store

import (
	"context"
	"time"

	"github.com/kabar-io/kabar/internal/account"
)

func (q accounts) LoginByTicket(ctx context.Context, hash []byte) (account.User, account.Login, account.Ticket, bool, error) {
	var t account.Ticket
	u, l, ok, err := q.loginAnd(ctx, ", l.ticket_id, l.ticket_start", "l.ticket_hash = ?", hash, &t.ID, &t.Start)
	t.Login = l.ID
	return u, l, t, ok, err
}

func (q accounts) TicketsOf(ctx context.Context, user uint64) ([]account.Ticket, error) {
	var ts []account.Ticket
	err := q.rows(ctx, "SELECT id, ticket_id, ticket_start FROM logins WHERE user_id = ? AND ticket_hash IS NOT NULL ORDER BY id", []any{user},
		func(scan func(...any) error) error {
			var t account.Ticket
			err := scan(&t.Login, &t.ID, &t.Start)
			ts = append(ts, t)
			return err
		})
	return ts, err
}

func (q accounts) SetTicket(ctx context.Context, t account.Ticket, hash []byte) error {
	_, err := q.exec(ctx, "UPDATE logins SET ticket_id = ?, ticket_start = ?, ticket_hash = ? WHERE id = ?", t.ID, t.Start, hash, t.Login)
	return err
}

func (q accounts) DropTicket(ctx context.Context, login uint64) error {
	_, err := q.exec(ctx, "UPDATE logins SET ticket_hash = NULL WHERE id = ?", login)
	return err
}

func (q accounts) NextTicket(ctx context.Context) (uint64, error) { return q.next(ctx, "last_ticket") }

func (q accounts) MailCode(ctx context.Context, key string) (account.MailCode, bool, error) {
	var c account.MailCode
	var made, since int64
	ok, err := q.row(ctx, "SELECT hash, made, tries, sends, since FROM mail_codes WHERE email_key = ?", []any{key},
		&c.Hash, &made, &c.Tries, &c.Sends, &since)
	if err != nil || !ok {
		return account.MailCode{}, false, err
	}
	c.Made, c.Since = fromMillis(made), fromMillis(since)
	return c, true, nil
}

func (q accounts) SetMailCode(ctx context.Context, key string, c account.MailCode) error {
	hash := c.Hash
	if hash == nil {
		hash = []byte{}
	}
	_, err := q.exec(ctx, `INSERT INTO mail_codes (email_key, hash, made, tries, sends, since) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (email_key) DO UPDATE SET hash = excluded.hash, made = excluded.made, tries = excluded.tries, sends = excluded.sends, since = excluded.since`,
		key, hash, c.Made.UnixMilli(), c.Tries, c.Sends, c.Since.UnixMilli())
	return err
}

// mailCodeKept is how long a mailed code is remembered: who comes late with it
// is told so.
const mailCodeKept = 24 * time.Hour
