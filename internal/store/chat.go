package store

import (
	"context"

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

func (chatStore) In(tx *journal.Tx) chat.Tx { return chats{In(tx).queries} }

func (q chats) Relation(ctx context.Context, a, b uint64) (chat.Relation, bool, error) {
	r := chat.Relation{A: a, B: b}
	var since int64
	ok, err := q.row(ctx, "SELECT flags, room, since FROM relations WHERE a = ? AND b = ?", []any{a, b}, &r.Flags, &r.Room, &since)
	r.Since = fromMillis(since)
	return r, ok, err
}

func (q chats) Sender(ctx context.Context, from, a, b uint64) (chat.Sender, bool, error) {
	var s chat.Sender
	ok, err := q.row(ctx, "SELECT r.flags, r.room, u.id, u.handle, u.display, u.suspended FROM relations r JOIN users u ON u.id = ? WHERE r.a = ? AND r.b = ?",
		[]any{from, a, b}, &s.Flags, &s.Room, &s.Profile.ID, &s.Profile.Handle, &s.Profile.Name, &s.Suspended)
	return s, ok, err
}

func (q chats) User(ctx context.Context, id uint64) (account.User, bool, error) {
	return accounts(q).User(ctx, id)
}

func (q chats) Neighbours(ctx context.Context, user uint64, asA, asB chat.Flags, limit int) ([]chat.Neighbour, error) {
	var ns []chat.Neighbour
	err := q.rows(ctx, "SELECT "+userColumns+", r.a, r.b, r.flags, r.room, r.since FROM relations r JOIN users u ON u.id = r.b WHERE r.a = ? AND r.flags & ? <> 0"+
		" UNION ALL SELECT "+userColumns+", r.a, r.b, r.flags, r.room, r.since FROM relations r JOIN users u ON u.id = r.a WHERE r.b = ? AND r.flags & ? <> 0"+
		" ORDER BY since DESC, id DESC LIMIT ?",
		[]any{user, asA, user, asB, limit}, func(scan func(...any) error) error {
			var u userRow
			var r chat.Relation
			var since int64
			if err := scan(append(u.dest(), &r.A, &r.B, &r.Flags, &r.Room, &since)...); err != nil {
				return err
			}
			r.Since = fromMillis(since)
			ns = append(ns, chat.Neighbour{User: u.user(), Relation: r})
			return nil
		})
	return ns, err
}

func (q chats) NextID(ctx context.Context) (uint64, error) { return q.next(ctx, "last_id") }

func (q chats) SetRelation(ctx context.Context, r chat.Relation) error {
	_, err := q.exec(ctx, `INSERT INTO relations (a, b, flags, room, since) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (a, b) DO UPDATE SET flags = excluded.flags, room = excluded.room, since = excluded.since`,
		r.A, r.B, r.Flags, r.Room, r.Since.UnixMilli())
	return err
}

func (q chats) DropRelation(ctx context.Context, a, b uint64) error {
	_, err := q.exec(ctx, "DELETE FROM relations WHERE a = ? AND b = ?", a, b)
	return err
}
