package store

import (
	"context"
	"math"
	"time"

	"github.com/kabar-io/kabar/internal/chat"
)

const postQuery = "SELECT " + userColumns + ", " + relationColumns + ", p.serial, p.id, p.text, p.created, p.likes, p.comments" +
	", EXISTS (SELECT 1 FROM post_likes l WHERE l.post = p.serial AND l.user_id = ?)" +
	" FROM posts p JOIN users u ON u.id = p.user_id" + relationJoin

func (q chats) posts(ctx context.Context, where string, args ...any) ([]chat.PostRow, error) {
	var ps []chat.PostRow
	err := q.rows(ctx, postQuery+where, args, func(scan func(...any) error) error {
		var n neighbourRow
		var p chat.PostRow
		var created int64
		err := scan(append(n.dest(), &p.Serial, &p.Post.ID, &p.Post.Text, &created, &p.Post.Likes, &p.Post.Comments, &p.Post.Liked)...)
		if err != nil {
			return err
		}
		p.Post.Time, p.Author = fromMillis(created), n.neighbour()
		ps = append(ps, p)
		return nil
	})
	return ps, err
}

func (q chats) Posts(ctx context.Context, me, before uint64, limit int) ([]chat.PostRow, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	return q.posts(ctx, "WHERE p.serial < ? ORDER BY p.serial DESC LIMIT ?", me, me, me, before, limit)
}

func (q chats) Post(ctx context.Context, me uint64, id string) (chat.PostRow, bool, error) {
	ps, err := q.posts(ctx, "WHERE p.id = ?", me, me, me, id)
	if err != nil || len(ps) == 0 {
		return chat.PostRow{}, false, err
	}
	return ps[0], true, nil
}

func (q chats) AddPost(ctx context.Context, id string, user uint64, text string, at time.Time) error {
	_, err := q.exec(ctx, "INSERT INTO posts (id, user_id, text, created) VALUES (?, ?, ?, ?)", id, user, text, at.UnixMilli())
	return err
}

func (q chats) DropPost(ctx context.Context, serial uint64) error {
	return q.drop(ctx, serial, "DELETE FROM posts WHERE serial = ?", "DELETE FROM post_likes WHERE post = ?", "DELETE FROM post_comments WHERE post = ?")
}

// both changes rows of a post and, where that changed any, its count of them.
func (q chats) both(ctx context.Context, rows, count string, post uint64, args ...any) (bool, error) {
	n, err := q.exec(ctx, rows, args...)
	if err != nil || n == 0 {
		return false, err
	}
	_, err = q.exec(ctx, count, post)
	return true, err
}

func (q chats) Like(ctx context.Context, post, user uint64) (bool, error) {
	return q.both(ctx, "INSERT INTO post_likes (post, user_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
		"UPDATE posts SET likes = likes + 1 WHERE serial = ?", post, post, user)
}

func (q chats) Unlike(ctx context.Context, post, user uint64) (bool, error) {
	return q.both(ctx, "DELETE FROM post_likes WHERE post = ? AND user_id = ?",
		"UPDATE posts SET likes = likes - 1 WHERE serial = ?", post, post, user)
}

func (q chats) Comments(ctx context.Context, me, post uint64, limit int) ([]chat.CommentRow, error) {
	var cs []chat.CommentRow
	err := q.rows(ctx, "SELECT "+userColumns+", "+relationColumns+", c.id, c.text, c.created"+
		" FROM post_comments c JOIN users u ON u.id = c.user_id"+relationJoin+"WHERE c.post = ? ORDER BY c.serial DESC LIMIT ?",
		[]any{me, me, post, limit}, func(scan func(...any) error) error {
			var n neighbourRow
			var c chat.CommentRow
			var created int64
			if err := scan(append(n.dest(), &c.Comment.ID, &c.Comment.Text, &created)...); err != nil {
				return err
			}
			c.Comment.Time, c.Author = fromMillis(created), n.neighbour()
			cs = append(cs, c)
			return nil
		})
	return cs, err
}

func (q chats) Comment(ctx context.Context, post uint64, id string) (author uint64, ok bool, err error) {
	ok, err = q.row(ctx, "SELECT user_id FROM post_comments WHERE post = ? AND id = ?", []any{post, id}, &author)
	return author, ok, err
}

func (q chats) AddComment(ctx context.Context, post uint64, id string, user uint64, text string, at time.Time) error {
	_, err := q.both(ctx, "INSERT INTO post_comments (id, post, user_id, text, created) VALUES (?, ?, ?, ?, ?)",
		"UPDATE posts SET comments = comments + 1 WHERE serial = ?", post, id, post, user, text, at.UnixMilli())
	return err
}

func (q chats) DropComment(ctx context.Context, post uint64, id string) error {
	_, err := q.both(ctx, "DELETE FROM post_comments WHERE post = ? AND id = ?",
		"UPDATE posts SET comments = comments - 1 WHERE serial = ?", post, post, id)
	return err
}
