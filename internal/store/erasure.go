package store

import (
	"context"

	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/personal"
)

func (q chats) Standings(ctx context.Context, user uint64, limit int) ([]chat.Relation, error) {
	var rs []chat.Relation
	err := q.rows(ctx, `SELECT a, b, flags, room, since FROM relations WHERE a = ?1 AND flags <> 0
		UNION ALL SELECT a, b, flags, room, since FROM relations WHERE b = ?1 AND flags <> 0 LIMIT ?2`, []any{user, limit}, func(scan func(...any) error) error {
		var r chat.Relation
		var since int64
		err := scan(&r.A, &r.B, &r.Flags, &r.Room, &since)
		r.Since = fromMillis(since)
		rs = append(rs, r)
		return err
	})
	return rs, err
}

func (q chats) PostsBy(ctx context.Context, user, after uint64, limit int) ([]chat.PostRow, error) {
	return q.posts(ctx, "WHERE p.user_id = ? AND p.serial > ? ORDER BY p.serial LIMIT ?", user, user, user, user, after, limit)
}

func (q chats) CommentsBy(ctx context.Context, user, after uint64, limit int) ([]chat.OwnComment, error) {
	var cs []chat.OwnComment
	err := q.rows(ctx, `SELECT c.serial, c.post, p.id, c.id, c.text, c.created FROM post_comments c JOIN posts p ON p.serial = c.post
		WHERE c.user_id = ? AND c.serial > ? ORDER BY c.serial LIMIT ?`, []any{user, after, limit}, func(scan func(...any) error) error {
		var c chat.OwnComment
		var created int64
		err := scan(&c.Serial, &c.PostSerial, &c.Post, &c.Comment.ID, &c.Comment.Text, &created)
		c.Comment.Time = fromMillis(created)
		cs = append(cs, c)
		return err
	})
	return cs, err
}

func (q chats) Unliked(ctx context.Context, user uint64, limit int) (int, error) {
	ids, err := accounts(q).ids(ctx, "SELECT post FROM post_likes WHERE user_id = ? LIMIT ?", user, limit)
	for _, post := range ids {
		if err == nil {
			_, err = q.Unlike(ctx, post, user)
		}
	}
	return len(ids), err
}

func (q chats) DropMarks(ctx context.Context, user uint64, limit int) (int, error) {
	n, err := q.exec(ctx, "DELETE FROM chat_read WHERE user_id = ?1 AND room IN (SELECT room FROM chat_read WHERE user_id = ?1 LIMIT ?2)", user, limit)
	if err != nil {
		return 0, err
	}
	m, err := q.exec(ctx, "DELETE FROM chat_kicked WHERE user_id = ?1 AND group_id IN (SELECT group_id FROM chat_kicked WHERE user_id = ?1 LIMIT ?2)", user, limit)
	return int(n + m), err
}

func (q chats) DropSeen(ctx context.Context, user uint64) error {
	return q.drop(ctx, user, "DELETE FROM seen WHERE user_id = ?")
}

// erasures is the personal package's port.
type erasures struct{ queries }

type erasureStore struct{ erasures }

// Erasures is where it stands how far erasing people came.
func (s *Store) Erasures() personal.Store { return erasureStore{erasures{s.queries}} }

func (erasureStore) In(tx *journal.Tx) personal.Tx { return erasures{In(tx).queries} }

func (q erasures) read(ctx context.Context, rest string, args ...any) ([]personal.Erasure, error) {
	var es []personal.Erasure
	err := q.rows(ctx, "SELECT user_id, begun, pos, ended FROM erasures WHERE "+rest, args, func(scan func(...any) error) error {
		var e personal.Erasure
		var begun, ended int64
		err := scan(&e.User, &begun, &e.Pos, &ended)
		e.Begun = fromMillis(begun)
		if ended != 0 {
			e.Ended = fromMillis(ended)
		}
		es = append(es, e)
		return err
	})
	return es, err
}

func (q erasures) Erasure(ctx context.Context, user uint64) (personal.Erasure, bool, error) {
	es, err := q.read(ctx, "user_id = ?", user)
	if err != nil || len(es) == 0 {
		return personal.Erasure{}, false, err
	}
	return es[0], true, nil
}

func (q erasures) Open(ctx context.Context, limit int) ([]personal.Erasure, error) {
	return q.read(ctx, "ended = 0 ORDER BY user_id LIMIT ?", limit)
}

func (q erasures) SetErasure(ctx context.Context, e personal.Erasure) error {
	ended := int64(0)
	if !e.Ended.IsZero() {
		ended = e.Ended.UnixMilli()
	}
	_, err := q.exec(ctx, `INSERT INTO erasures (user_id, begun, pos, ended) VALUES (?, ?, ?, ?)
		ON CONFLICT (user_id) DO UPDATE SET pos = excluded.pos, ended = excluded.ended`, e.User, e.Begun.UnixMilli(), int64(e.Pos), ended)
	return err
}
