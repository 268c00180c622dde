package store_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store"
)

// addUsers adds users 1, 2, 3, … with these names.
func addUsers(st *store.Store, tx *journal.Tx, at time.Time, names ...string) (err error) {
	for i, name := range names {
		err = errors.Join(err, st.Accounts().In(tx).AddUser(bg, account.User{ID: uint64(i + 1), Handle: name, Display: "The " + name, Created: at}))
	}
	return err
}

func handles(ns []chat.Neighbour) (s string) {
	for _, n := range ns {
		s += fmt.Sprint(n.User.Handle, n.Relation.Flags, " ")
	}
	return s
}

func TestGroupRows(t *testing.T) {
	at := time.UnixMilli(1700000000123).UTC()
	g := chat.Group{ID: 9, Name: "warung", Owner: 2, Link: "L", Created: at, Members: 3}
	inBatches(t, t.TempDir(), func(st *store.Store, tx *journal.Tx) error {
		c := st.Chats().In(tx)
		return errors.Join(
			addUsers(st, tx, at, "ann", "bob", "cat", "dan"),
			c.SetRelation(bg, chat.Relation{A: 1, B: 2, Flags: 1 | 8, Room: 7, Since: at}),
			c.SetRelation(bg, chat.Relation{A: 2, B: 3, Flags: 16, Since: at}),
			c.SetGroup(bg, chat.Group{ID: 9, Name: "x", Owner: 1, Link: "x", Created: at}), c.SetGroup(bg, g),
			c.SetGroup(bg, chat.Group{ID: 10, Name: "y", Owner: 1, Link: "y", Created: at}),
			c.AddMember(bg, 9, 3, at), c.AddMember(bg, 9, 1, at), c.AddMember(bg, 9, 2, at), c.AddMember(bg, 10, 1, at),
			c.Kick(bg, 9, 4), c.Kick(bg, 9, 4), c.Kick(bg, 10, 4),
			c.SetReadMark(bg, 9, 2, 5, at), c.SetReadMark(bg, 9, 2, 6, at), c.SetReadMark(bg, 9, 1, 4, at),
		)
	}, func(st *store.Store, tx *journal.Tx) error {
		for _, c := range []chat.Reader{st.Chats(), st.Chats().In(tx)} {
			got, ok, err := c.Group(bg, 9)
			if err != nil || !ok || got != g {
				t.Errorf("read %+v, %v", got, err)
			}
			if got, ok, err := c.GroupByLink(bg, "L"); err != nil || !ok || got != g {
				t.Errorf("read %+v, %v", got, err)
			}
			if _, ok, err := c.GroupByLink(bg, "x"); err != nil || ok {
				t.Errorf("an old link: %v", err)
			}
			gs, err := c.Groups(bg, 1, 10)
			if n, _ := c.CountGroups(bg, 1); err != nil || n != 2 || len(gs) != 2 || gs[0].ID != 10 || gs[1] != g {
				t.Errorf("%d: %+v, %v", n, gs, err)
			}
			for user, want := range map[uint64][2]bool{1: {true, false}, 4: {false, true}} {
				m, ok, err := c.Member(bg, 9, user)
				if err != nil || !ok || m.Group != g || m.Profile.ID != user || [2]bool{m.In, m.Kicked} != want {
					t.Errorf("read %+v, %v", m, err)
				}
			}
			for _, none := range [][2]uint64{{9, 99}, {99, 1}} {
				if _, ok, err := c.Member(bg, none[0], none[1]); err != nil || ok {
					t.Errorf("%v is somebody, %v", none, err)
				}
			}
			if ids, err := c.MemberIDs(bg, 9); err != nil || !slices.Equal(ids, []uint64{3, 1, 2}) {
				t.Errorf("read %v, %v", ids, err)
			}
			ns, err := c.Members(bg, 9, 2)
			if got := handles(ns); err != nil || got != "cat16 ann9 bob0 " {
				t.Errorf("read %s, %v", got, err)
			}
			for user, want := range map[uint64][]uint64{1: {2}, 2: {1, 3}, 3: {2}, 4: nil} {
				ids, err := c.Hidden(bg, user)
				slices.Sort(ids)
				if err != nil || !slices.Equal(ids, want) {
					t.Errorf("hidden from %d: %v, %v", user, ids, err)
				}
			}
			if ms, err := c.ReadMarks(bg, 9); err != nil || !slices.Equal(ms, []chat.ReadMark{{User: 1, Seq: 4, At: at}, {User: 2, Seq: 6, At: at}}) {
				t.Errorf("read %v, %v", ms, err)
			}
		}
		c := st.Chats().In(tx)
		if err := c.AddMember(bg, 9, 3, at); err == nil {
			t.Error("somebody is a member twice")
		}
		return errTakenBack
	}, func(st *store.Store, tx *journal.Tx) error { return dropGroup(t, st, tx) })
}

func dropGroup(t *testing.T, st *store.Store, tx *journal.Tx) error {
	t.Helper()
	c := st.Chats().In(tx)
	if err := errors.Join(c.DropMember(bg, 9, 2), c.Forgive(bg, 9), c.SetCleared(bg, 9, 3), c.SetCleared(bg, 9, 8)); err != nil {
		return err
	}
	m, _, _ := c.Member(bg, 9, 4)
	other, _, _ := c.Member(bg, 10, 4)
	if marks, _ := c.ReadMarks(bg, 9); m.Kicked || !other.Kicked || m.Group.Members != 2 || len(marks) != 1 {
		t.Errorf("%+v, %+v, %v", m, other, marks)
	}
	if seq, err := c.Cleared(bg, 9); err != nil || seq != 8 {
		t.Errorf("cleared up to %d, %v", seq, err)
	}
	err := c.DropGroup(bg, 9)
	_, ok, _ := c.Group(bg, 9)
	seq, _ := c.Cleared(bg, 9)
	marks, _ := c.ReadMarks(bg, 9)
	ids, _ := c.MemberIDs(bg, 9)
	if ok || seq != 0 || marks != nil || ids != nil {
		t.Error("dropped, and there")
	}
	return err
}

func TestRevisionRows(t *testing.T) {
	at := time.UnixMilli(1700000000123).UTC()
	rs := []chat.Revision{{Room: 9, Seq: 2, Text: "b", Edited: at}, {Room: 9, Seq: 5, Deleted: true}}
	inBatches(t, t.TempDir(), func(st *store.Store, tx *journal.Tx) error {
		c := st.Chats().In(tx)
		return errors.Join(
			c.SetRevision(bg, chat.Revision{Room: 9, Seq: 5, Text: "a", Edited: at}), c.SetRevision(bg, rs[0]), c.SetRevision(bg, rs[1]),
			c.SetRevision(bg, chat.Revision{Room: 8, Seq: 3, Text: "elsewhere", Edited: at}),
		)
	}, func(st *store.Store, tx *journal.Tx) error {
		for _, c := range []chat.Reader{st.Chats(), st.Chats().In(tx)} {
			if got, err := c.Revisions(bg, 9, 2, 5); err != nil || !slices.Equal(got, rs) {
				t.Errorf("read %+v, %v", got, err)
			}
			if got, err := c.Revisions(bg, 9, 3, 4); err != nil || got != nil {
				t.Errorf("read %+v, %v", got, err)
			}
			if got, ok, err := c.Revision(bg, 9, 5); err != nil || !ok || got != rs[1] {
				t.Errorf("read %+v, %v", got, err)
			}
			if _, ok, err := c.Revision(bg, 9, 3); err != nil || ok {
				t.Errorf("read one that is not there, %v", err)
			}
		}
		return nil
	})
}

func TestPostRows(t *testing.T) {
	at := time.UnixMilli(1700000000123).UTC()
	inBatches(t, t.TempDir(), func(st *store.Store, tx *journal.Tx) error {
		c := st.Chats().In(tx)
		err := errors.Join(addUsers(st, tx, at, "ann", "bob"), c.SetRelation(bg, chat.Relation{A: 1, B: 2, Flags: 1, Room: 7, Since: at}))
		for _, id := range []string{"p1", "p2", "p3"} {
			err = errors.Join(err, c.AddPost(bg, id, 1, "text of "+id, at))
		}
		if err := c.AddPost(bg, "p1", 2, "again", at); err == nil {
			t.Error("two posts have one id")
		}
		return err
	}, func(st *store.Store, tx *journal.Tx) error {
		c := st.Chats().In(tx)
		for i, want := range []bool{true, false} {
			if changed, err := c.Like(bg, 2, 2); err != nil || changed != want {
				t.Errorf("%d: %v, %v", i, changed, err)
			}
		}
		return errors.Join(c.AddComment(bg, 2, "c1", 2, "one", at), c.AddComment(bg, 2, "c2", 1, "two", at), c.DropComment(bg, 1, "c1"))
	}, func(st *store.Store, tx *journal.Tx) error {
		for _, c := range []chat.Reader{st.Chats(), st.Chats().In(tx)} {
			p, ok, err := c.Post(bg, 2, "p2")
			want := chat.Post{ID: "p2", Time: at, Text: "text of p2", Likes: 1, Comments: 2, Liked: true}
			if err != nil || !ok || p.Serial != 2 || !reflect.DeepEqual(p.Post, want) || p.Author.User.Handle != "ann" || p.Author.Relation.Flags != 1 {
				t.Errorf("read %+v, %v", p, err)
			}
			ps, err := c.Posts(bg, 1, 3, 10)
			if err != nil || len(ps) != 2 || ps[0].Post.ID != "p2" || ps[0].Post.Liked || ps[1].Post.ID != "p1" {
				t.Errorf("read %+v, %v", ps, err)
			}
			if ps, err = c.Posts(bg, 1, 0, 1); err != nil || len(ps) != 1 || ps[0].Serial != 3 {
				t.Errorf("read %+v, %v", ps, err)
			}
			cs, err := c.Comments(bg, 1, 2, 10)
			if err != nil || len(cs) != 2 || cs[0].Comment.Text != "two" || cs[1].Comment.ID != "c1" || cs[1].Author.User.Handle != "bob" {
				t.Errorf("read %+v, %v", cs, err)
			}
			if author, ok, err := c.Comment(bg, 2, "c1"); err != nil || !ok || author != 2 {
				t.Errorf("read %d, %v, %v", author, ok, err)
			}
			if _, ok, err := c.Comment(bg, 1, "c1"); err != nil || ok {
				t.Errorf("another post's comment, %v", err)
			}
		}
		return nil
	}, func(st *store.Store, tx *journal.Tx) error {
		c := st.Chats().In(tx)
		changed, err := c.Unlike(bg, 2, 2)
		again, err2 := c.Unlike(bg, 2, 2)
		err = errors.Join(err, err2, c.DropComment(bg, 2, "c1"))
		if p, _, _ := c.Post(bg, 2, "p2"); !changed || again || p.Post.Likes != 0 || p.Post.Comments != 1 {
			t.Errorf("%v, %v, %+v", changed, again, p.Post)
		}
		err = errors.Join(err, c.DropPost(bg, 2))
		if _, ok, _ := c.Post(bg, 2, "p2"); ok {
			t.Error("dropped, and there")
		}
		if cs, _ := c.Comments(bg, 2, 2, 10); cs != nil {
			t.Error("comments of what was dropped")
		}
		return err
	})
}
