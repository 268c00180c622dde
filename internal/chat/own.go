package chat

import (
	"context"

	"github.com/kabar-io/kabar/internal/account"
)

// EachStanding calls f with what stands between somebody and others, by id.
func (s *Service) EachStanding(ctx context.Context, user uint64, f func(Standing, account.User) error) error {
	return each(func(after uint64) ([]Neighbour, error) { return s.o.Store.Standings(ctx, user, after, maxPage) },
		func(n Neighbour) uint64 { return n.User.ID },
		func(n Neighbour) error {
			return f(standing(user, n.User.ID, n.Relation.Flags, n.Relation.Room), n.User)
		})
}

// EachGroup calls f with the groups that somebody is in.
func (s *Service) EachGroup(ctx context.Context, user uint64, f func(Group) error) error {
	gs, err := s.o.Store.Groups(ctx, user, maxGroups)
	for _, g := range gs {
		if err == nil {
			err = f(g)
		}
	}
	return err
}

// EachPost calls f with what somebody said to everybody, the oldest first.
func (s *Service) EachPost(ctx context.Context, user uint64, f func(Post) error) error {
	return each(func(after uint64) ([]PostRow, error) { return s.o.Store.PostsBy(ctx, user, after, maxPage) },
		func(p PostRow) uint64 { return p.Serial }, func(p PostRow) error { return f(p.Post) })
}

// EachComment calls f with what somebody said to posts, the oldest first.
func (s *Service) EachComment(ctx context.Context, user uint64, f func(OwnComment) error) error {
	return each(func(after uint64) ([]OwnComment, error) { return s.o.Store.CommentsBy(ctx, user, after, maxPage) },
		func(c OwnComment) uint64 { return c.Serial }, f)
}

// EachLike calls f with the ids of the posts that somebody likes, the oldest first.
func (s *Service) EachLike(ctx context.Context, user uint64, f func(post string) error) error {
	return each(func(after uint64) ([]OwnLike, error) { return s.o.Store.LikesBy(ctx, user, after, maxPage) },
		func(l OwnLike) uint64 { return l.Serial }, func(l OwnLike) error { return f(l.Post) })
}

// EachMark calls f with how far somebody has read, by room.
func (s *Service) EachMark(ctx context.Context, user uint64, f func(OwnMark) error) error {
	return each(func(after uint64) ([]OwnMark, error) { return s.o.Store.MarksBy(ctx, user, after, maxPage) },
		func(m OwnMark) uint64 { return m.Room }, f)
}

// each calls f with rows that are read page by page.
func each[T any](read func(after uint64) ([]T, error), place func(T) uint64, f func(T) error) error {
	for after := uint64(0); ; {
		rows, err := read(after)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			after = place(r)
			if err := f(r); err != nil {
				return err
			}
		}
	}
}
