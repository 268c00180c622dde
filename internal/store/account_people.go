package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/kabar-io/kabar/internal/account"
)

// badges are a user's in their column: JSON, "" for none.
type badges []int

// Scan reads the column.
func (b *badges) Scan(v any) error {
	*b = nil
	s, ok := v.(string)
	switch {
	case !ok:
		return fmt.Errorf("badges are a %T", v)
	case s == "":
		return nil
	}
	return json.Unmarshal([]byte(s), b)
}

func badgesText(b []int) (string, error) {
	if len(b) == 0 {
		return "", nil
	}
	text, err := json.Marshal(b)
	return string(text), err
}

func (q accounts) users(ctx context.Context, rest string, args ...any) ([]account.User, error) {
	var us []account.User
	err := q.rows(ctx, "SELECT "+userColumns+" FROM users u "+rest, args, func(scan func(...any) error) error {
		var r userRow
		err := scan(r.dest()...)
		us = append(us, r.user())
		return err
	})
	return us, err
}

func (q accounts) UsersAfter(ctx context.Context, key string, after uint64, limit int) ([]account.User, error) {
	if key == "" {
		return q.users(ctx, "WHERE u.id > ? ORDER BY u.id LIMIT ?", after, limit)
	}
	return q.users(ctx, "WHERE u.id > ? AND (instr(u.handle_key, ?) > 0 OR instr(u.name_key, ?) > 0 OR instr(ifnull(u.email_key, ''), ?) > 0)"+
		" ORDER BY u.id LIMIT ?", after, key, key, key, limit)
}

func (q accounts) names(ctx context.Context, query string, args ...any) ([]string, error) {
	var names []string
	err := q.rows(ctx, query, args, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		names = append(names, name)
		return err
	})
	return names, err
}

func (q accounts) GroupNames(ctx context.Context) ([]string, error) {
	return q.names(ctx, "SELECT min(name) FROM account_groups GROUP BY group_key ORDER BY group_key")
}

func (q accounts) GroupsOf(ctx context.Context, user uint64) ([]string, error) {
	return q.names(ctx, "SELECT name FROM account_groups WHERE user_id = ? ORDER BY group_key", user)
}

func (q accounts) GroupMembers(ctx context.Context, key string, after uint64, limit int) ([]account.User, error) {
	return q.users(ctx, "JOIN account_groups g ON g.user_id = u.id WHERE g.group_key = ? AND u.id > ? ORDER BY u.id LIMIT ?", key, after, limit)
}

// AddToGroup takes over the spelling that the group has already.
func (q accounts) AddToGroup(ctx context.Context, key, name string, user uint64) error {
	_, err := q.exec(ctx, `INSERT INTO account_groups (group_key, user_id, name)
		VALUES (?, ?, ifnull((SELECT min(name) FROM account_groups WHERE group_key = ?), ?)) ON CONFLICT DO NOTHING`, key, user, key, name)
	return err
}

func (q accounts) RemoveFromGroup(ctx context.Context, key string, user uint64) error {
	_, err := q.exec(ctx, "DELETE FROM account_groups WHERE group_key = ? AND user_id = ?", key, user)
	return err
}

func (q accounts) RemoveFromGroups(ctx context.Context, user uint64) error {
	_, err := q.exec(ctx, "DELETE FROM account_groups WHERE user_id = ?", user)
	return err
}
