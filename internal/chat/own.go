package chat

import "context"

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
