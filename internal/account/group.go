package account

import (
	"context"
	"slices"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// The groups of accounts that always exist. Everybody is in Users.
const (
	GroupUsers  = "Users"
	GroupAdmins = "Admins"
)

// groupKey is what is compared of a group's name: nobody may be let in or kept
// out by a capital letter.
func groupKey(name string) string { return nameKey(name) }

// cleanGroup is a group's name and key; the two that always exist have their
// own spelling.
func cleanGroup(name string) (clean, key string, err error) {
	if clean, err = CleanName(name); err != nil || clean == "" {
		return "", "", status.Errorf(status.Invalid, "GROUP_INVALID", "a group's name has 1 to %d characters that show", maxDisplay)
	}
	key = groupKey(clean)
	for _, own := range []string{GroupUsers, GroupAdmins} {
		if key == groupKey(own) {
			clean = own
		}
	}
	return clean, key, nil
}

// Groups are the names of the groups that a user is in, GroupUsers first.
func (s *Service) Groups(ctx context.Context, user uint64) ([]string, error) {
	names, err := s.o.Store.GroupsOf(ctx, user)
	if err != nil {
		return nil, err
	}
	return append([]string{GroupUsers}, names...), nil
}

// GroupNames are the names of all groups that have members, and of the two
// that always exist.
func (s *Service) GroupNames(ctx context.Context) ([]string, error) {
	names, err := s.o.Store.GroupNames(ctx)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == GroupAdmins })
	return append([]string{GroupUsers, GroupAdmins}, names...), nil
}

// GroupMembers are a group's members with ids after one, by id.
func (s *Service) GroupMembers(ctx context.Context, name string, after uint64, limit int) ([]User, error) {
	clean, key, err := cleanGroup(name)
	if err != nil {
		return nil, err
	}
	if clean == GroupUsers {
		return s.o.Store.UsersAfter(ctx, "", after, page(limit))
	}
	return s.o.Store.GroupMembers(ctx, key, after, page(limit))
}

// AddToGroup makes a user a member; the first makes the group. Who is one
// already stays one.
func (s *Service) AddToGroup(ctx context.Context, name string, user uint64) error {
	clean, key, err := cleanGroup(name)
	if err != nil {
		return err
	}
	return s.change(ctx, func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		if _, err := person(t.User(background, user)); err != nil || clean == GroupUsers {
			return nil, err
		}
		return nil, t.AddToGroup(background, key, clean, user)
	})
}

// RemoveFromGroup ends a membership. Who is no member is left as they are.
func (s *Service) RemoveFromGroup(ctx context.Context, name string, user uint64) error {
	clean, key, err := cleanGroup(name)
	if err != nil {
		return err
	}
	if clean == GroupUsers {
		return status.Errorf(status.Invalid, "GROUP_INVALID", "everybody is in %s; suspend the account instead", GroupUsers)
	}
	return s.change(ctx, func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		return nil, t.RemoveFromGroup(background, key, user)
	})
}
