package account

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// KindNotice is the kind of a word from the server: to a person in their
// inbox, to all in every inbox and in the feed.
const KindNotice = "notice"

// Notice is what a "notice" message says.
type Notice struct {
	Text string `json:"text"`
	All  bool   `json:"all,omitempty"` // it is to everybody
}

const (
	maxNotice = 4000 // bytes: the log keeps one for each thousand people, and every client shows it
	perNotice = 1000 // inboxes that one message enters
)

// FeedTopic is the topic of the one stream for everybody.
const FeedTopic = "feed"

// Encode is the Data of a notice, or what is wrong with its text.
func (n Notice) Encode() ([]byte, error) {
	switch text := n.Text; {
	case text == "":
		return nil, status.Errorf(status.Invalid, "TEXT_REQUIRED", "the notice is empty")
	case !utf8.ValidString(text):
		return nil, status.Errorf(status.Invalid, "TEXT_INVALID", "the notice is not valid UTF-8")
	case len(text) > maxNotice:
		return nil, status.Errorf(status.TooLarge, "TEXT_TOO_LONG", "the notice is longer than %d bytes", maxNotice)
	}
	return json.Marshal(n)
}

// Notify says something to one person. The zero key is none.
func (s *Service) Notify(user uint64, text string, key journal.Key) *journal.Pending {
	return s.o.Journal.DoOnce(key, s.NoticeTo(user, text))
}

// NoticeTo is what Notify hands over, so that it can be a part of something.
func (s *Service) NoticeTo(user uint64, text string) journal.Change {
	return s.as(func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		data, err := Notice{Text: text}.Encode()
		if err != nil {
			return nil, err
		}
		if _, err := person(t.User(background, user)); err != nil {
			return nil, err
		}
		return []*journal.Message{{Kind: KindNotice, Entries: journal.To(Inbox(user)), Data: data}}, nil
	})
}

// NotifyAll says something to everybody who has an account, and to the feed:
// the result's first message is the one that entered the feed.
func (s *Service) NotifyAll(text string, key journal.Key) *journal.Pending {
	return s.do(key, func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		data, err := Notice{Text: text, All: true}.Encode()
		if err != nil {
			return nil, err
		}
		var ms []*journal.Message
		topics := []string{FeedTopic}
		for after, more := uint64(0), true; more; {
			ids, err := t.UserIDs(background, after, perNotice)
			if err != nil {
				return nil, err
			}
			for _, id := range ids {
				topics, after = append(topics, Inbox(id)), id
			}
			if len(topics) > 0 {
				ms = append(ms, &journal.Message{Kind: KindNotice, Entries: journal.To(topics...), Data: data})
			}
			topics, more = nil, len(ids) == perNotice
		}
		return ms, nil
	})
}
