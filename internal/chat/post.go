package chat

import (
	"context"
	"crypto/rand"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

const (
	maxPostText  = 2000 // characters, of comments too
	maxPosts     = 100  // of a page
	maxPostScan  = 1000 // looked at for one
	maxComments  = 500  // shown of a post: the newest
	postIDLength = 13
)

// Post is something that somebody said to everybody, to be liked and commented.
type Post struct {
	ID   string // opaque
	User Person
	Time time.Time
	Text string
	// Likes and Comments count all, also of people who are hidden from who
	// asks: a number names nobody, and those who watch posts are told one for
	// all of them.
	Likes, Comments int
	Liked           bool // by who asks
}

// Comment is what somebody said to a post.
type Comment struct {
	ID   string // opaque
	User Person
	Time time.Time
	Text string
}

// newID is an id that nobody can guess, in small letters and digits.
func newID(first byte) string {
	return (string(first) + strings.ToLower(rand.Text()))[:postIDLength]
}

func checkPost(text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return ErrTextRequired
	case !utf8.ValidString(text):
		return ErrTextInvalid
	case utf8.RuneCountInString(text) > maxPostText:
		return ErrTextTooLong
	}
	return nil
}

// NewPost says something to everybody.
func (s *Service) NewPost(ctx context.Context, me uint64, text string) (Post, error) {
	return s.SeedPost(ctx, newID('p'), me, text)
}

var errPostID = status.Errorf(status.Invalid, "POST_ID_INVALID", "a post's id is 1 to 32 small letters and digits")

// SeedPost makes a post with this id, where there is none.
func (s *Service) SeedPost(ctx context.Context, id string, me uint64, text string) (Post, error) {
	if id == "" || len(id) > 32 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return Post{}, errPostID
	}
	if err := checkPost(text); err != nil {
		return Post{}, err
	}
	_, err := s.do(ctx, func(tx *journal.Tx, t Tx) ([]*journal.Message, error) {
		if _, err := active(t, me); err != nil {
			return nil, err
		}
		if _, ok, err := t.Post(background, me, id); err != nil || ok {
			return nil, err
		}
		return nil, t.AddPost(background, id, me, text, tx.Now())
	})
	if err != nil {
		return Post{}, err
	}
	return s.Post(ctx, me, id)
}

// shown is a post as me sees it.
func (p PostRow) shown(me uint64) Post {
	p.Post.User = p.Author.person(me)
	return p.Post
}

// seen is the post with this id, if me may see it: not where its author is
// hidden.
func seen(ctx context.Context, r Reader, me uint64, id string) (PostRow, map[uint64]bool, error) {
	p, ok, err := r.Post(ctx, me, id)
	if err != nil {
		return p, nil, err
	}
	hide, err := hidden(ctx, r, me)
	if err == nil && (!ok || hide[p.Author.User.ID]) {
		err = ErrNoPost
	}
	return p, hide, err
}

// Posts are the posts before a place in their order (0: from the newest),
// newest first, at most limit (and at most 100), but for those whose author is
// hidden. next is where the page after it starts, 0 where there is no more.
func (s *Service) Posts(ctx context.Context, me, before uint64, limit int) (page []Post, next uint64, err error) {
	hide, err := hidden(ctx, s.o.Store, me)
	if err != nil {
		return nil, 0, err
	}
	limit = min(limit, maxPosts)
	for scanned := 0; len(page) < limit && scanned < maxPostScan; {
		want := max(limit-len(page), 20)
		rows, err := s.o.Store.Posts(ctx, me, before, want)
		if err != nil {
			return nil, 0, err
		}
		for _, p := range rows {
			if len(page) == limit {
				return page, next, nil
			}
			next = p.Serial
			if !hide[p.Author.User.ID] {
				page = append(page, p.shown(me))
			}
		}
		if len(rows) < want {
			return page, 0, nil
		}
		before, scanned = next, scanned+len(rows)
	}
	return page, next, nil
}

// Post is the post with this id, or ErrNoPost.
func (s *Service) Post(ctx context.Context, me uint64, id string) (Post, error) {
	p, _, err := seen(ctx, s.o.Store, me, id)
	if err != nil {
		return Post{}, err
	}
	return p.shown(me), nil
}

// DeletePost takes me's post away, with its likes and comments.
func (s *Service) DeletePost(ctx context.Context, me uint64, id string) error {
	_, err := s.do(ctx, func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		p, _, err := seen(background, t, me, id)
		if err != nil {
			return nil, err
		}
		if p.Author.User.ID != me {
			return nil, ErrNotAuthor
		}
		return nil, t.DropPost(background, p.Serial)
	})
	return err
}

// Like makes me like a post, or not like it any more: one like a person,
// however often. It says no message that is kept; those who watch posts are
// told the number once it is durable.
func (s *Service) Like(me uint64, post string, on bool, key journal.Key) *journal.Pending {
	return s.o.Journal.DoOnce(key, s.change(func(tx *journal.Tx, t Tx) ([]*journal.Message, error) {
		if _, err := active(t, me); err != nil {
			return nil, err
		}
		p, _, err := seen(background, t, me, post)
		if err != nil {
			return nil, err
		}
		set, by := t.Like, 1
		if !on {
			set, by = t.Unlike, -1
		}
		changed, err := set(background, p.Serial, me)
		if changed {
			tx.After(func() {
				now := Likes{Post: post, Likes: p.Post.Likes + by}
				_ = s.tell(&journal.Message{Kind: KindLikes, ID: rand.Text()}, now, nil, PostsTopic) // it always encodes
			})
		}
		return nil, err
	}))
}

// Comments are what people said to a post, the oldest first, of very many the
// newest 500, but for those who are hidden from me. On a post of me's own all
// are shown: whoever answers for a post must see what others read there.
func (s *Service) Comments(ctx context.Context, me uint64, post string) ([]Comment, error) {
	p, hide, err := seen(ctx, s.o.Store, me, post)
	if err != nil {
		return nil, err
	}
	rows, err := s.o.Store.Comments(ctx, me, p.Serial, maxComments)
	if err != nil {
		return nil, err
	}
	cs := make([]Comment, 0, len(rows))
	for i := range rows {
		row := &rows[len(rows)-1-i]
		if hide[row.Author.User.ID] && p.Author.User.ID != me {
			continue
		}
		row.Comment.User = row.Author.person(me)
		cs = append(cs, row.Comment)
	}
	return cs, nil
}

// AddComment says something to a post.
func (s *Service) AddComment(ctx context.Context, me uint64, post, text string) (Comment, error) {
	if err := checkPost(text); err != nil {
		return Comment{}, err
	}
	var c Comment
	_, err := s.do(ctx, func(tx *journal.Tx, t Tx) ([]*journal.Message, error) {
		u, err := active(t, me)
		if err != nil {
			return nil, err
		}
		p, _, err := seen(background, t, me, post)
		if err != nil {
			return nil, err
		}
		c = Comment{ID: newID('c'), User: Person{User: visible(u, true)}, Time: tx.Now().Truncate(time.Millisecond), Text: text}
		return nil, t.AddComment(background, p.Serial, c.ID, me, text, c.Time)
	})
	if err != nil {
		return Comment{}, err
	}
	return c, nil
}

// DeleteComment takes a comment away, which its author may, and the post's.
func (s *Service) DeleteComment(ctx context.Context, me uint64, post, comment string) error {
	_, err := s.do(ctx, func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		p, hide, err := seen(background, t, me, post)
		if err != nil {
			return nil, err
		}
		author, ok, err := t.Comment(background, p.Serial, comment)
		switch mine := p.Author.User.ID == me; {
		case err != nil:
			return nil, err
		case !ok, hide[author] && !mine:
			return nil, ErrNoComment
		case author != me && !mine:
			return nil, ErrNotAuthor
		}
		return nil, t.DropComment(background, p.Serial, comment)
	})
	return err
}
