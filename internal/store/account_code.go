package store

import (
	"context"
	"time"

	"github.com/kabar-io/kabar/internal/account"
)

func (q accounts) LoginByTicket(ctx context.Context, hash []byte) (account.User, account.Login, account.Ticket, bool, error) {
	var t account.Ticket
	u, l, ok, err := q.loginAnd(ctx, ", l.ticket_id, l.ticket_start, l.ticket_head", "l.ticket_hash = ?", hash, &t.ID, &t.Start, &t.Head)
	t.Login = l.ID
	return u, l, t, ok, err
}

func (q accounts) TicketsOf(ctx context.Context, user uint64) ([]account.Ticket, error) {
	var ts []account.Ticket
	err := q.rows(ctx, "SELECT id, ticket_id, ticket_start, ticket_head FROM logins WHERE user_id = ? AND ticket_hash IS NOT NULL ORDER BY id", []any{user},
		func(scan func(...any) error) error {
			var t account.Ticket
			err := scan(&t.Login, &t.ID, &t.Start, &t.Head)
			ts = append(ts, t)
			return err
		})
	return ts, err
}

func (q accounts) LastTicket(ctx context.Context, login uint64) (account.Ticket, bool, error) {
	t := account.Ticket{Login: login}
	ok, err := q.row(ctx, "SELECT ticket_id, ticket_start, ticket_head FROM logins WHERE id = ? AND ticket_id <> 0", []any{login}, &t.ID, &t.Start, &t.Head)
	return t, ok, err
}

func (q accounts) SetTicket(ctx context.Context, t account.Ticket, hash []byte) error {
	_, err := q.exec(ctx, "UPDATE logins SET ticket_id = ?, ticket_start = ?, ticket_head = ?, ticket_hash = ? WHERE id = ?", t.ID, t.Start, t.Head, hash, t.Login)
	return err
}

func (q accounts) DropTicket(ctx context.Context, login uint64) error {
	_, err := q.exec(ctx, "UPDATE logins SET ticket_hash = NULL WHERE id = ?", login)
	return err
}

func (q accounts) NextTicket(ctx context.Context) (uint64, error) { return q.next(ctx, "last_ticket") }

func (q accounts) MailCode(ctx context.Context, key string) (account.MailCode, bool, error) {
	var c account.MailCode
	var made, since, day int64
	ok, err := q.row(ctx, "SELECT hash, made, tries, sends, since, day_sends, day FROM mail_codes WHERE email_key = ?", []any{key},
		&c.Hash, &made, &c.Tries, &c.Sends, &since, &c.DaySends, &day)
	if err != nil || !ok {
		return account.MailCode{}, false, err
	}
	c.Made, c.Since, c.Day = fromMillis(made), fromMillis(since), fromMillis(day)
	return c, true, nil
}

func (q accounts) SetMailCode(ctx context.Context, key string, c account.MailCode) error {
	hash := c.Hash
	if hash == nil {
		hash = []byte{}
	}
	_, err := q.exec(ctx, `INSERT INTO mail_codes (email_key, hash, made, tries, sends, since, day_sends, day) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (email_key) DO UPDATE SET hash = excluded.hash, made = excluded.made, tries = excluded.tries,
			sends = excluded.sends, since = excluded.since, day_sends = excluded.day_sends, day = excluded.day`,
		key, hash, c.Made.UnixMilli(), c.Tries, c.Sends, c.Since.UnixMilli(), c.DaySends, c.Day.UnixMilli())
	return err
}

func (q accounts) DropMailCode(ctx context.Context, key string) error {
	_, err := q.exec(ctx, "DELETE FROM mail_codes WHERE email_key = ?", key)
	return err
}

// mailCodeKept is how long a mailed code is remembered: who comes late with it
// is told so, and a day's codes are counted.
const mailCodeKept = 24 * time.Hour
