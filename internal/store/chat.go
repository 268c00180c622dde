package store

import (
	"context"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
)

// chats is the chat package's port, on a snapshot or inside a batch.
type chats struct{ queries }

// chatStore adds the way into a batch.
type chatStore struct{ chats }

// Chats is where chats stand.
func (s *Store) Chats() chat.Store { return chatStore{chats{s.queries}} }

func (chatStore) In(tx *journal.Tx) chat.Tx {
	t := In(tx)
	if t.chats == nil {
		t.chats = chats{t.queries}
	}
	return t.chats
}

func (q chats) Relation(ctx context.Context, a, b uint64) (chat.Relation, bool, error) {
	r := chat.Relation{A: a, B: b}
	var since int64
	ok, err := q.row(ctx, "SELECT flags, room, since FROM relations WHERE a = ? AND b = ?", []any{a, b}, &r.Flags, &r.Room, &since)
	r.Since = fromMillis(since)
	return r, ok, err
}

func (q chats) User(ctx context.Context, id uint64) (account.User, bool, error) {
	return accounts(q).User(ctx, id)
}

func (q chats) Neighbours(ctx context.Context, user uint64, asA, asB chat.Flags, limit int) ([]chat.Neighbour, error) {
	return q.neighbours(ctx, "SELECT "+userColumns+", r.a, r.b, r.flags, r.room, r.since FROM relations r JOIN users u ON u.id = r.b WHERE r.a = ? AND r.flags & ? <> 0"+
		" UNION ALL SELECT "+userColumns+", r.a, r.b, r.flags, r.room, r.since FROM relations r JOIN users u ON u.id = r.a WHERE r.b = ? AND r.flags & ? <> 0"+
		" ORDER BY since DESC, id DESC LIMIT ?",
		user, asA, user, asB, limit)
}

// neighbourRow is where a row of userColumns and relationColumns goes;
// neighbour is what it was.
type neighbourRow struct {
	userRow
	r     chat.Relation
	since int64
}

func (n *neighbourRow) dest() []any {
	return append(n.userRow.dest(), &n.r.A, &n.r.B, &n.r.Flags, &n.r.Room, &n.since)
}

func (n *neighbourRow) neighbour() chat.Neighbour {
	n.r.Since = fromMillis(n.since)
	return chat.Neighbour{User: n.user(), Relation: n.r}
}

// relationColumns and relationJoin are what stands between u and the person
// whose id is the two parameters; of strangers, nothing.
const (
	relationColumns = "COALESCE(r.a, 0), COALESCE(r.b, 0), COALESCE(r.flags, 0), COALESCE(r.room, 0), COALESCE(r.since, 0)"
	relationJoin    = " LEFT JOIN relations r ON r.a = min(u.id, ?) AND r.b = max(u.id, ?) "
)

func (q chats) Hidden(ctx context.Context, user uint64) ([]uint64, error) {
	return accounts(q).ids(ctx, "SELECT b FROM relations WHERE a = ? AND flags & 24 <> 0 UNION ALL SELECT a FROM relations WHERE b = ? AND flags & 24 <> 0",
		user, user)
}

// The ways to search, the cheap ones first: the beginning of a handle, then of
// a name, each by its index; then a part of a name, for which rows are read, of
// at most so many people.
const (
	searchQuery  = "SELECT " + userColumns + ", " + relationColumns + " FROM "
	searchHandle = searchQuery + "users u" + relationJoin + "WHERE u.handle_key >= ? AND u.handle_key < ? AND u.suspended = 0 ORDER BY u.handle_key LIMIT ?"
	searchName   = searchQuery + "users u" + relationJoin + "WHERE u.name_key >= ? AND u.name_key < ? AND u.suspended = 0 ORDER BY u.name_key, u.id LIMIT ?"
	searchPart   = searchQuery + "(SELECT * FROM users ORDER BY id DESC LIMIT 20000) u" + relationJoin +
		"WHERE instr(u.name_key, ?) > 0 AND u.suspended = 0 ORDER BY u.id DESC LIMIT ?"
)

func (q chats) Search(ctx context.Context, me uint64, handle, name string, limit int) ([]chat.Neighbour, error) {
	const last = string(utf8.MaxRune) // no name has it, nor what begins like one and follows all that do
	var found []chat.Neighbour
	had := map[uint64]bool{me: true}
	for _, way := range []struct {
		query string
		args  []any
	}{
		{searchHandle, []any{handle, handle + last}},
		{searchName, []any{name, name + last}},
		{searchPart, []any{name}},
	} {
		// What an earlier way found too is passed over, so what it lacks is among limit and me.
		ns, err := q.neighbours(ctx, way.query, append(append([]any{me, me}, way.args...), limit+1)...)
		if err != nil {
			return nil, err
		}
		for _, n := range ns {
			if had[n.User.ID] {
				continue
			}
			had[n.User.ID] = true
			if found = append(found, n); len(found) == limit {
				return found, nil
			}
		}
	}
	return found, nil
}

func (q chats) neighbours(ctx context.Context, query string, args ...any) ([]chat.Neighbour, error) {
	var ns []chat.Neighbour
	err := q.rows(ctx, query, args, func(scan func(...any) error) error {
		var n neighbourRow
		if err := scan(n.dest()...); err != nil {
			return err
		}
		ns = append(ns, n.neighbour())
		return nil
	})
	return ns, err
}

func (q chats) NextID(ctx context.Context) (uint64, error) { return q.next(ctx, "last_id") }

func (q chats) SetRelation(ctx context.Context, r chat.Relation) error {
	_, err := q.exec(ctx, `INSERT INTO relations (a, b, flags, room, since) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (a, b) DO UPDATE SET flags = excluded.flags, room = excluded.room, since = excluded.since`,
		r.A, r.B, r.Flags, r.Room, r.Since.UnixMilli())
	if err == nil {
		q.tx.senders.forgetPair(r.A, r.B)
	}
	return err
}

func (q chats) DropRelation(ctx context.Context, a, b uint64) error {
	_, err := q.exec(ctx, "DELETE FROM relations WHERE a = ? AND b = ?", a, b)
	if err == nil {
		q.tx.senders.forgetPair(a, b)
	}
	return err
}
