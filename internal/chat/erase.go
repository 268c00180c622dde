package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
)

// KindErased is what becomes of what somebody said, who was erased, where it is
// nothing that can be shown as deleted: no dialect has a word for it. Its Data
// is {}.
const KindErased = "erased"

// withdrawn is how much one Withdraw takes away: nobody waits long for the
// writer.
const withdrawn = 32

// Withdraw takes somebody who was erased out of what stands between people, a
// slice at a time; more says that there is another. Friends, and who waits for
// an answer, hear what they hear when a friendship or a request ends, and
// members that they left. A group of theirs goes to the eldest member.
func (s *Service) Withdraw(ctx context.Context, user uint64) (more bool, err error) {
	_, err = s.do(ctx, func(tx *journal.Tx, t Tx) (ms []*journal.Message, err error) {
		for _, take := range []func(*journal.Tx, Tx, uint64) ([]*journal.Message, bool, error){
			withdrawRelations, withdrawGroups, withdrawPosts,
		} {
			if ms, more, err = take(tx, t, user); err != nil || more {
				return ms, err
			}
		}
		return nil, nil
	})
	return more, err
}

// withdrawRelations ends what is between somebody and others. Their rooms stay
// for the others to read.
func withdrawRelations(tx *journal.Tx, t Tx, user uint64) (ms []*journal.Message, some bool, err error) {
	ns, err := t.Standings(background, user, 0, withdrawn)
	if err != nil {
		return nil, false, err
	}
	by := account.ErasedProfile(user)
	for _, n := range ns {
		u, room := n.User, n.Relation.Room
		st := standing(user, u.ID, n.Relation.Flags, room)
		kind := ""
		switch {
		case st.Blocks || st.BlocksMe: // silent, as a block is
		case st.Friends:
			kind = KindEnded
		case st.Asked:
			kind = KindWithdrawn
		case st.WasAsked:
			kind = KindDeclined
		}
		if err := write(tx, t, user, u.ID, Standing{Room: room}); err != nil {
			return nil, false, err
		}
		if kind == "" || u.Erased {
			continue
		}
		data, err := json.Marshal(FriendEvent{By: by, User: u.Profile(), Room: room})
		if err != nil {
			return nil, false, err
		}
		ms = append(ms, &journal.Message{Kind: kind, From: user, Entries: journal.To(account.Inbox(u.ID)), Data: data})
	}
	return ms, len(ns) > 0, nil
}

// withdrawGroups leaves groups.
func withdrawGroups(_ *journal.Tx, t Tx, user uint64) (ms []*journal.Message, some bool, err error) {
	gs, err := t.Groups(background, user, withdrawn/4)
	if err != nil {
		return nil, false, err
	}
	for _, g := range gs {
		m, ok, err := t.Member(background, g.ID, user)
		if err != nil || !ok {
			return nil, false, errors.Join(err, account.ErrUserNotFound)
		}
		if err := depart(t, &m, user); err != nil {
			return nil, false, err
		}
		a := audience{room: g.ID, sender: m.Profile, group: m.Group.profile()}
		if a.hearers, err = hearers(background, t, g.ID, user); err != nil {
			return nil, false, err
		}
		left, err := a.message(KindLeft, 0, MemberEvent{Group: *a.group, User: m.Profile, By: m.Profile}, a.inboxes(RoomTopic(g.ID)))
		if err != nil {
			return nil, false, err
		}
		ms = append(ms, left...)
	}
	return ms, len(gs) > 0, nil
}

// withdrawPosts takes away what somebody said to everybody and what they like,
// and how far they have read.
func withdrawPosts(_ *journal.Tx, t Tx, user uint64) (_ []*journal.Message, some bool, err error) {
	ps, err := t.PostsBy(background, user, 0, withdrawn/8)
	for _, p := range ps {
		if err == nil {
			err = t.DropPost(background, p.Serial)
		}
	}
	if err != nil || len(ps) > 0 {
		return nil, len(ps) > 0, err
	}
	cs, err := t.CommentsBy(background, user, 0, withdrawn)
	for _, c := range cs {
		if err == nil {
			err = t.DropComment(background, c.PostSerial, c.Comment.ID)
		}
	}
	if err != nil || len(cs) > 0 {
		return nil, len(cs) > 0, err
	}
	for _, drop := range []func(context.Context, uint64, int) (int, error){t.Unliked, t.DropMarks} {
		if n, err := drop(background, user, withdrawn); err != nil || n > 0 {
			return nil, n > 0, err
		}
	}
	return nil, false, t.DropSeen(background, user)
}

// Concerns says whether a message may name one of these people, or be theirs:
// cheap to ask, and of what it says yes to, Redact knows.
func Concerns(m *journal.Message, gone map[uint64]bool) bool {
	if gone[m.From] || m.Kind == KindCall { // a call is in its room alone
		return true
	}
	for _, e := range m.Entries {
		if user, ok := numberOf(e.Topic, inboxPrefix); ok && gone[user] {
			return true
		}
	}
	return false
}

// Redact takes out of committed messages what people said who were erased, and
// what they were called. What others said stays. One that is not there any more
// is passed over.
func (s *Service) Redact(tx *journal.Tx, ids []string, gone map[uint64]bool) error {
	t := s.o.Store.In(tx)
	for _, id := range ids {
		m, err := tx.Find(id)
		if errors.Is(err, journal.ErrNoMessage) {
			continue
		}
		if err != nil {
			return err
		}
		now, err := redacted(m, gone)
		if err != nil {
			return err
		}
		if gone[m.From] {
			if err := forgetText(t, m); err != nil {
				return err
			}
			err = tx.Disown(now)
		} else if now.Kind != m.Kind || !bytes.Equal(now.Data, m.Data) {
			err = tx.Rewrite(now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetText has a message stand in its room as deleted.
func forgetText(t Tx, m *journal.Message) error {
	if m.Kind != KindMessage {
		return nil
	}
	for _, e := range m.Entries {
		if room, ok := numberOf(e.Topic, roomPrefix); ok {
			return t.SetRevision(background, Revision{Room: room, Seq: e.Seq, Deleted: true})
		}
	}
	return nil
}

// redacted is a message without people. Words of a client's own, and a line of
// the feed, cannot be shown as deleted: of them nothing is left.
func redacted(m *journal.Message, gone map[uint64]bool) (*journal.Message, error) {
	now, said := *m, gone[m.From]
	var err error
	hide := func(ps ...*account.Profile) {
		for _, p := range ps {
			if p != nil && gone[p.ID] {
				*p = account.ErasedProfile(p.ID)
			}
		}
	}
	silence := func(d *MessageSent) {
		hide(&d.Sender, d.Receiver)
		if said {
			d.Text, d.Reply = "", ""
		}
	}
	switch m.Kind {
	case KindMessage:
		now.Data, err = changed(m.Data, silence)
	case KindEdited, KindDeleted:
		if said {
			now.Kind = KindDeleted
		}
		now.Data, err = changed(m.Data, func(d *MessageEdited) { silence(&d.MessageSent) })
	case KindCall:
		now.Data, err = changed(m.Data, func(d *CallEnded) {
			if silence(&d.MessageSent); said {
				d.Call.Key = ""
			}
		})
	case KindRead:
		now.Data, err = changed(m.Data, func(d *MessagesRead) { hide(&d.By) })
	case KindCleared:
		now.Data, err = changed(m.Data, func(d *RoomEvent) { hide(&d.By) })
	case KindJoined, KindLeft, KindKicked:
		now.Data, err = changed(m.Data, func(d *MemberEvent) { hide(&d.User, &d.By) })
	case KindRequested, KindAccepted, KindWithdrawn, KindDeclined, KindEnded:
		now.Data, err = changed(m.Data, func(d *FriendEvent) { hide(&d.By, &d.User) })
	case KindRelayed, KindLine:
		if said {
			now.Kind, now.Data = KindErased, []byte("{}")
		}
	}
	return &now, err
}

// changed is JSON after f.
func changed[T any](data []byte, f func(*T)) ([]byte, error) {
	var d T
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, err
	}
	f(&d)
	return json.Marshal(d)
}

// roomPrefix is what RoomTopic puts before a room's id.
var roomPrefix = strings.TrimSuffix(RoomTopic(0), "0")

func numberOf(topic, prefix string) (uint64, bool) {
	id, ok := strings.CutPrefix(topic, prefix)
	n, err := strconv.ParseUint(id, 10, 64)
	return n, ok && err == nil
}
