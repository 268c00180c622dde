package chat

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// FeedTopic is the topic of the one stream for everybody. Notices to all
// (account.KindNotice) stand in it too.
const FeedTopic = account.FeedTopic

// KindLine is somebody's line on the feed; its Data is a Line.
const KindLine = "line.spoken"

// Line is what somebody said to everybody.
type Line struct {
	Name string `json:"name,omitempty"` // of who said it, "" for nobody in particular
	Text string `json:"text"`
}

// Speaker is who says a line.
type Speaker struct {
	User uint64 // 0: no account
	Name string
	Key  uint64 // of the session that does not hear it itself
}

var (
	errLineEmpty = status.Errorf(status.Invalid, "TEXT_REQUIRED", "the line is empty")
	errLineUTF8  = status.Errorf(status.Invalid, "TEXT_INVALID", "the line is not valid UTF-8")
)

// Speak says a line to everybody. Whether the speaker may is the
// configuration's to say, and the caller's to ask before. With a key it is
// said once.
func (s *Service) Speak(by Speaker, text string, key journal.Key) *journal.Pending {
	return s.o.Journal.DoOnce(key, s.change(func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		switch {
		case text == "":
			return nil, errLineEmpty
		case !utf8.ValidString(text):
			return nil, errLineUTF8
		}
		if by.User != 0 { // whose socket may still have to hear that the account was closed
			suspended, ok, err := t.Suspended(background, by.User)
			if err == nil && (!ok || suspended) {
				err = account.ErrSuspended
			}
			if err != nil {
				return nil, err
			}
		}
		data, err := json.Marshal(Line{Name: by.Name, Text: text})
		return []*journal.Message{{
			Kind: KindLine, From: by.User, Except: by.Key, Entries: journal.To(FeedTopic), Data: data,
		}}, err
	}))
}

// AnnounceIn is a change that puts a notice on the feed, and nowhere else.
func (s *Service) AnnounceIn(text string) journal.Change {
	return journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
		data, err := account.Notice{Text: text}.Encode()
		return []*journal.Message{{Kind: account.KindNotice, Entries: journal.To(FeedTopic), Data: data}}, err
	})
}

// PublishIn is a change that says something in a group, to all its members and
// by nobody.
func (s *Service) PublishIn(group uint64, text string) journal.Change {
	return s.change(func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		if err := checkText(text); err != nil {
			return nil, err
		}
		g, ok, err := t.Group(background, group)
		if err == nil && !ok {
			err = ErrNoRoom
		}
		if err != nil {
			return nil, err
		}
		a := audience{room: group, group: g.profile()}
		if a.hearers, err = t.MemberIDs(background, group); err != nil {
			return nil, err
		}
		return a.message(KindMessage, 0, a.sent(text, ""), a.inboxes(RoomTopic(group)))
	})
}
