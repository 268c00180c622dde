package store

import (
	"context"
	"time"

	"github.com/kabar-io/kabar/internal/chat"
)

const groupColumns = "g.id, g.name, g.owner, g.link, g.created, (SELECT count(*) FROM chat_members c WHERE c.group_id = g.id)"

// groupRow is where a row of groupColumns goes; group is the group it was.
type groupRow struct {
	g       chat.Group
	created int64
}

func (r *groupRow) dest() []any {
	return []any{&r.g.ID, &r.g.Name, &r.g.Owner, &r.g.Link, &r.created, &r.g.Members}
}

func (r *groupRow) group() chat.Group {
	r.g.Created = fromMillis(r.created)
	return r.g
}

func (q chats) group(ctx context.Context, where string, arg any) (chat.Group, bool, error) {
	var r groupRow
	ok, err := q.row(ctx, "SELECT "+groupColumns+" FROM chat_groups g WHERE "+where, []any{arg}, r.dest()...)
	if err != nil || !ok {
		return chat.Group{}, false, err
	}
	return r.group(), true, nil
}

func (q chats) Group(ctx context.Context, id uint64) (chat.Group, bool, error) {
	return q.group(ctx, "g.id = ?", id)
}

func (q chats) GroupByLink(ctx context.Context, link string) (chat.Group, bool, error) {
	return q.group(ctx, "g.link = ?", link)
}

func (q chats) Groups(ctx context.Context, user uint64, limit int) ([]chat.Group, error) {
	var gs []chat.Group
	err := q.rows(ctx, "SELECT "+groupColumns+" FROM chat_members m JOIN chat_groups g ON g.id = m.group_id WHERE m.user_id = ? ORDER BY m.serial DESC LIMIT ?",
		[]any{user, limit}, func(scan func(...any) error) error {
			var r groupRow
			if err := scan(r.dest()...); err != nil {
				return err
			}
			gs = append(gs, r.group())
			return nil
		})
	return gs, err
}

func (q chats) CountGroups(ctx context.Context, user uint64) (n int, err error) {
	_, err = q.row(ctx, "SELECT count(*) FROM chat_members WHERE user_id = ?", []any{user}, &n)
	return n, err
}

func (q chats) Member(ctx context.Context, group, user uint64) (chat.Member, bool, error) {
	var r groupRow
	var m chat.Member
	ok, err := q.row(ctx, "SELECT "+groupColumns+", u.id, u.handle, u.display, u.suspended"+
		", EXISTS (SELECT 1 FROM chat_members c WHERE c.group_id = g.id AND c.user_id = u.id)"+
		", EXISTS (SELECT 1 FROM chat_kicked k WHERE k.group_id = g.id AND k.user_id = u.id)"+
		" FROM chat_groups g JOIN users u ON u.id = ? WHERE g.id = ?", []any{user, group},
		append(r.dest(), &m.Profile.ID, &m.Profile.Handle, &m.Profile.Name, &m.Suspended, &m.In, &m.Kicked)...)
	if err != nil || !ok {
		return chat.Member{}, false, err
	}
	m.Group = r.group()
	return m, true, nil
}

func (q chats) MemberIDs(ctx context.Context, group uint64) ([]uint64, error) {
	return accounts(q).ids(ctx, "SELECT user_id FROM chat_members WHERE group_id = ? ORDER BY serial", group)
}

func (q chats) Members(ctx context.Context, group, me uint64) ([]chat.Neighbour, error) {
	return q.neighbours(ctx, "SELECT "+userColumns+", "+relationColumns+" FROM chat_members m JOIN users u ON u.id = m.user_id"+relationJoin+
		"WHERE m.group_id = ? ORDER BY m.serial", me, me, group)
}

func (q chats) SetGroup(ctx context.Context, g chat.Group) error {
	_, err := q.exec(ctx, `INSERT INTO chat_groups (id, name, owner, link, created) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, owner = excluded.owner, link = excluded.link`,
		g.ID, g.Name, g.Owner, g.Link, g.Created.UnixMilli())
	return err
}

func (q chats) DropGroup(ctx context.Context, id uint64) error {
	return q.drop(ctx, id,
		"DELETE FROM chat_groups WHERE id = ?", "DELETE FROM chat_members WHERE group_id = ?", "DELETE FROM chat_kicked WHERE group_id = ?",
		"DELETE FROM chat_revisions WHERE room = ?", "DELETE FROM chat_cleared WHERE room = ?", "DELETE FROM chat_read WHERE room = ?")
}

// drop runs statements that have one parameter each, the same.
func (q chats) drop(ctx context.Context, id uint64, statements ...string) error {
	for _, s := range statements {
		if _, err := q.exec(ctx, s, id); err != nil {
			return err
		}
	}
	return nil
}

func (q chats) AddMember(ctx context.Context, group, user uint64, at time.Time) error {
	_, err := q.exec(ctx, "INSERT INTO chat_members (group_id, user_id, joined) VALUES (?, ?, ?)", group, user, at.UnixMilli())
	return err
}

func (q chats) DropMember(ctx context.Context, group, user uint64) error {
	if _, err := q.exec(ctx, "DELETE FROM chat_members WHERE group_id = ? AND user_id = ?", group, user); err != nil {
		return err
	}
	_, err := q.exec(ctx, "DELETE FROM chat_read WHERE room = ? AND user_id = ?", group, user)
	return err
}

func (q chats) Kick(ctx context.Context, group, user uint64) error {
	_, err := q.exec(ctx, "INSERT INTO chat_kicked (group_id, user_id) VALUES (?, ?) ON CONFLICT DO NOTHING", group, user)
	return err
}

func (q chats) Forgive(ctx context.Context, group uint64) error {
	return q.drop(ctx, group, "DELETE FROM chat_kicked WHERE group_id = ?")
}

const revisionQuery = "SELECT seq, text, edited, deleted FROM chat_revisions WHERE room = ? AND seq "

func (q chats) Revision(ctx context.Context, room, seq uint64) (chat.Revision, bool, error) {
	rs, err := q.Revisions(ctx, room, seq, seq)
	if err != nil || len(rs) == 0 {
		return chat.Revision{}, false, err
	}
	return rs[0], true, nil
}

func (q chats) Revisions(ctx context.Context, room, from, to uint64) ([]chat.Revision, error) {
	var rs []chat.Revision
	err := q.rows(ctx, revisionQuery+"BETWEEN ? AND ?", []any{room, from, to}, func(scan func(...any) error) error {
		r := chat.Revision{Room: room}
		var edited int64
		if err := scan(&r.Seq, &r.Text, &edited, &r.Deleted); err != nil {
			return err
		}
		if edited != 0 {
			r.Edited = fromMillis(edited)
		}
		rs = append(rs, r)
		return nil
	})
	return rs, err
}

func (q chats) SetRevision(ctx context.Context, r chat.Revision) error {
	edited := int64(0)
	if !r.Edited.IsZero() {
		edited = r.Edited.UnixMilli()
	}
	_, err := q.exec(ctx, `INSERT INTO chat_revisions (room, seq, text, edited, deleted) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (room, seq) DO UPDATE SET text = excluded.text, edited = excluded.edited, deleted = excluded.deleted`,
		r.Room, r.Seq, r.Text, edited, asInt(r.Deleted))
	return err
}

func (q chats) Cleared(ctx context.Context, room uint64) (seq uint64, err error) {
	_, err = q.row(ctx, "SELECT seq FROM chat_cleared WHERE room = ?", []any{room}, &seq)
	return seq, err
}

func (q chats) SetCleared(ctx context.Context, room, seq uint64) error {
	_, err := q.exec(ctx, "INSERT INTO chat_cleared (room, seq) VALUES (?, ?) ON CONFLICT (room) DO UPDATE SET seq = excluded.seq", room, seq)
	return err
}

func (q chats) ReadMarks(ctx context.Context, room uint64) ([]chat.ReadMark, error) {
	var ms []chat.ReadMark
	err := q.rows(ctx, "SELECT user_id, seq, at FROM chat_read WHERE room = ? ORDER BY user_id", []any{room}, func(scan func(...any) error) error {
		var m chat.ReadMark
		var at int64
		err := scan(&m.User, &m.Seq, &at)
		if at != 0 {
			m.At = fromMillis(at)
		}
		ms = append(ms, m)
		return err
	})
	return ms, err
}

func (q chats) SetReadMark(ctx context.Context, room, user, seq uint64, at time.Time) error {
	_, err := q.exec(ctx, "INSERT INTO chat_read (room, user_id, seq, at) VALUES (?, ?, ?, ?) ON CONFLICT (room, user_id) DO UPDATE SET seq = excluded.seq, at = excluded.at",
		room, user, seq, at.UnixMilli())
	return err
}
