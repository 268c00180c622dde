package store

import (
	"context"
	"strconv"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
)

// accounts is the account package's port, on a snapshot or inside a batch.
type accounts struct{ queries }

// accountStore adds the way into a batch.
type accountStore struct{ accounts }

// Accounts is where accounts stand.
func (s *Store) Accounts() account.Store { return accountStore{accounts{s.queries}} }

func (accountStore) In(tx *journal.Tx) account.Tx { return accounts{In(tx).queries} }

const userColumns = "u.id, u.handle, u.display, u.email, u.password, u.about, u.avatar, u.created, u.suspended, u.proven, u.badges, u.erased"

// userRow is where a row of userColumns goes; user is the user it was.
type userRow struct {
	u       account.User
	created int64
}

func (r *userRow) dest() []any {
	u := &r.u
	return []any{&u.ID, &u.Handle, &u.Display, &u.Email, &u.Password, &u.About, &u.Avatar, &r.created, &u.Suspended, &u.Proven, (*badges)(&u.Badges), &u.Erased}
}

func (r *userRow) user() account.User {
	r.u.Created = fromMillis(r.created)
	return r.u
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func (q accounts) user(ctx context.Context, where string, arg any) (account.User, bool, error) {
	var r userRow
	ok, err := q.row(ctx, "SELECT "+userColumns+" FROM users u WHERE "+where, []any{arg}, r.dest()...)
	if err != nil || !ok {
		return account.User{}, false, err
	}
	return r.user(), true, nil
}

func (q accounts) User(ctx context.Context, id uint64) (account.User, bool, error) {
	return q.user(ctx, "u.id = ?", id)
}

func (q accounts) UserByEmail(ctx context.Context, key string) (account.User, bool, error) {
	return q.user(ctx, "u.email_key = ?", key)
}

func (q accounts) UserByHandle(ctx context.Context, key string) (account.User, bool, error) {
	return q.user(ctx, "u.handle_key = ?", key)
}

func (q accounts) NameTaken(ctx context.Context, key string) (bool, error) {
	var one int
	return q.row(ctx, "SELECT 1 FROM users WHERE handle_key = ? UNION ALL SELECT 1 FROM users WHERE name_key = ? LIMIT 1", []any{key, key}, &one)
}

func (q accounts) ids(ctx context.Context, query string, args ...any) ([]uint64, error) {
	var ids []uint64
	err := q.rows(ctx, query, args, func(scan func(...any) error) error {
		var id uint64
		err := scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

func (q accounts) UserIDs(ctx context.Context, after uint64, limit int) ([]uint64, error) {
	return q.ids(ctx, "SELECT id FROM users WHERE id > ? AND suspended = 0 ORDER BY id LIMIT ?", after, limit)
}

const loginColumns = userColumns + ", l.id, l.gateway, l.created, l.seen, l.expires, l.idle, l.inbox_start"

func (q accounts) login(ctx context.Context, where string, arg any) (account.User, account.Login, bool, error) {
	return q.loginAnd(ctx, "", where, arg)
}

// loginAnd reads more columns of the login, into rest.
func (q accounts) loginAnd(ctx context.Context, more, where string, arg any, rest ...any) (account.User, account.Login, bool, error) {
	var r userRow
	var l account.Login
	var created, seen, expires, idle int64
	dest := append(r.dest(), &l.ID, &l.Gateway, &created, &seen, &expires, &idle, &l.InboxStart)
	ok, err := q.row(ctx, "SELECT "+loginColumns+more+" FROM logins l JOIN users u ON u.id = l.user_id WHERE "+where, []any{arg}, append(dest, rest...)...)
	if err != nil || !ok {
		return account.User{}, account.Login{}, false, err
	}
	u := r.user()
	l.User, l.Idle = u.ID, time.Duration(idle)*time.Millisecond
	l.Created, l.Seen, l.Expires = fromMillis(created), fromMillis(seen), fromMillis(expires)
	return u, l, true, nil
}

func (q accounts) Login(ctx context.Context, id uint64) (account.User, account.Login, bool, error) {
	return q.login(ctx, "l.id = ?", id)
}

func (q accounts) LoginByToken(ctx context.Context, hash []byte) (account.User, account.Login, bool, error) {
	return q.login(ctx, "l.token_hash = ?", hash)
}

func (q accounts) LoginsAfter(ctx context.Context, user, after uint64, limit int) ([]account.Login, error) {
	var ls []account.Login
	err := q.rows(ctx, "SELECT id, user_id, gateway, created, seen, expires, idle, inbox_start FROM logins WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?",
		[]any{user, after, limit}, func(scan func(...any) error) error {
			var l account.Login
			var created, seen, expires, idle int64
			err := scan(&l.ID, &l.User, &l.Gateway, &created, &seen, &expires, &idle, &l.InboxStart)
			l.Idle = time.Duration(idle) * time.Millisecond
			l.Created, l.Seen, l.Expires = fromMillis(created), fromMillis(seen), fromMillis(expires)
			ls = append(ls, l)
			return err
		})
	return ls, err
}

func (q accounts) LoginsOf(ctx context.Context, user uint64) ([]uint64, error) {
	return q.ids(ctx, "SELECT id FROM logins WHERE user_id = ? ORDER BY id", user)
}

func (q accounts) NextID(ctx context.Context) (uint64, error)    { return q.next(ctx, "last_id") }
func (q accounts) NextLogin(ctx context.Context) (uint64, error) { return q.next(ctx, "last_login") }

// next counts a sequence up. It is a row like any other, so that a change that
// fails gives its number back, and a number that was seen is never given again.
func (q queries) next(ctx context.Context, sequence string) (uint64, error) {
	var last string
	if _, err := q.row(ctx, "SELECT value FROM meta WHERE name = ?", []any{sequence}, &last); err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(last, 10, 53)
	if err != nil {
		return 0, err
	}
	_, err = q.exec(ctx, "UPDATE meta SET value = ? WHERE name = ?", strconv.FormatUint(n+1, 10), sequence)
	return n + 1, err
}

// orNull is NULL for "", which is unique in any number.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (q accounts) AddUser(ctx context.Context, u account.User) error {
	email, handle, name := u.Keys()
	badges, err := badgesText(u.Badges)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `INSERT INTO users (id, handle, handle_key, display, name_key, email, email_key, password, about, avatar, created, suspended, proven, badges)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		u.ID, u.Handle, handle, u.Display, name, u.Email, orNull(email), string(u.Password), u.About, u.Avatar, u.Created.UnixMilli(), asInt(u.Suspended),
		asInt(u.Proven), badges)
	if err == nil {
		q.tx.senders.forgetPerson(u.ID)
	}
	return err
}

func (q accounts) SetUser(ctx context.Context, u account.User) error {
	email, handle, name := u.Keys()
	badges, err := badgesText(u.Badges)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `UPDATE users SET handle = ?, handle_key = ?, display = ?, name_key = ?, email = ?, email_key = ?,
		password = ?, about = ?, avatar = ?, suspended = ?, proven = ?, badges = ?, erased = ? WHERE id = ?`,
		u.Handle, handle, u.Display, name, u.Email, orNull(email), string(u.Password), u.About, u.Avatar, asInt(u.Suspended), asInt(u.Proven), badges, asInt(u.Erased), u.ID)
	if err == nil {
		q.tx.senders.forgetPerson(u.ID)
	}
	return err
}

func asInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (q accounts) AddLogin(ctx context.Context, l account.Login, hash []byte) error {
	_, err := q.exec(ctx, `INSERT INTO logins (id, user_id, token_hash, gateway, created, seen, expires, idle, inbox_start)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		l.ID, l.User, hash, l.Gateway, l.Created.UnixMilli(), l.Seen.UnixMilli(), l.Expires.UnixMilli(), l.Idle.Milliseconds(), l.InboxStart)
	return err
}

func (q accounts) MoveLogin(ctx context.Context, id uint64, seen, expires time.Time) error {
	_, err := q.exec(ctx, "UPDATE logins SET seen = ?, expires = ? WHERE id = ? AND seen < ?", seen.UnixMilli(), expires.UnixMilli(), id, seen.UnixMilli())
	return err
}

func (q accounts) DropLogin(ctx context.Context, id uint64) (bool, error) {
	n, err := q.exec(ctx, "DELETE FROM logins WHERE id = ?", id)
	return n > 0, err
}

func (q accounts) Sweep(ctx context.Context, before time.Time, limit int) error {
	for query, before := range map[string]time.Time{
		"DELETE FROM logins WHERE id IN (SELECT id FROM logins WHERE expires < ? ORDER BY expires LIMIT ?)":                 before,
		"DELETE FROM mail_codes WHERE email_key IN (SELECT email_key FROM mail_codes WHERE made < ? ORDER BY made LIMIT ?)": before.Add(-mailCodeKept),
	} {
		if _, err := q.exec(ctx, query, before.UnixMilli(), limit); err != nil {
			return err
		}
	}
	return nil
}
