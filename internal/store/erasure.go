package store

import (
	"context"

	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/personal"
)

func (q chats) Standings(ctx context.Context, user, after uint64, limit int) ([]chat.Neighbour, error) {
	const row = "SELECT " + userColumns + ", r.a, r.b, r.flags, r.room, r.since FROM relations r JOIN users u ON u.id = "
	return q.neighbours(ctx, row+"r.b WHERE r.a = ? AND r.b > ? AND r.flags <> 0 UNION ALL "+row+"r.a WHERE r.b = ? AND r.a > ? AND r.flags <> 0 ORDER BY id LIMIT ?",
		user, after, user, after, limit)
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

func (q chats) LikesBy(ctx context.Context, user, after uint64, limit int) ([]chat.OwnLike, error) {
	var ls []chat.OwnLike
	err := q.rows(ctx, `SELECT l.post, p.id FROM post_likes l JOIN posts p ON p.serial = l.post
		WHERE l.user_id = ? AND l.post > ? ORDER BY l.post LIMIT ?`, []any{user, after, limit}, func(scan func(...any) error) error {
		var l chat.OwnLike
		err := scan(&l.Serial, &l.Post)
		ls = append(ls, l)
		return err
	})
	return ls, err
}

func (q chats) MarksBy(ctx context.Context, user, after uint64, limit int) ([]chat.OwnMark, error) {
	var ms []chat.OwnMark
	err := q.rows(ctx, "SELECT room, seq, at FROM chat_read WHERE user_id = ? AND room > ? ORDER BY room LIMIT ?",
		[]any{user, after, limit}, func(scan func(...any) error) error {
			m := chat.OwnMark{ReadMark: chat.ReadMark{User: user}}
			var at int64
			err := scan(&m.Room, &m.Seq, &at)
			if at != 0 {
				m.At = fromMillis(at)
			}
			ms = append(ms, m)
			return err
		})
	return ms, err
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
