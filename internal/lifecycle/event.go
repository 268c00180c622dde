package lifecycle

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/instance"
)

// Data is an event's data. What does not belong to an event is left out.
type Data struct {
	Subject string `json:"subject"` // "user/7", "feed", "user/7/sessions"
	Number  uint64 `json:"number"`  // of this event among those about the subject

	User  uint64 `json:"user,omitempty"`
	Topic string `json:"topic,omitempty"`

	// Of session.closed.
	Gateway  string `json:"gateway,omitempty"`
	Login    uint64 `json:"login,omitempty"`
	Instance uint64 `json:"instance,omitempty"`
	Code     uint16 `json:"code,omitempty"` // WebSocket's; 1005 where the peer gave none, 1006 where it just went

	Reason string `json:"reason,omitempty"` // session.closed: in the words of who closed, or Killed; the others: Left or Restart
	// Since is when it came or went; of a closed session, when it was opened.
	// RFC 3339, UTC, milliseconds.
	Since string `json:"since"`
	// Seconds is how long what has ended was there, rounded down to
	// milliseconds; not of a session that a server was killed with, of which
	// nobody knows.
	Seconds *float64 `json:"seconds,omitempty"`
}

// Why somebody is offline, or a topic vacated.
const (
	Left    = "left"    // the last session ended, and none came within the settling time
	Restart = "restart" // they were there when the server ended, and did not come back to the next one
)

// Killed is why a session is closed that was open when the server was killed;
// its code is 1006.
const Killed = "killed"

// stamp is how times are written.
const stamp = "2006-01-02T15:04:05.000Z"

func (d *Data) lasted(from, to time.Time) {
	seconds := float64(max(0, to.Sub(from).Milliseconds())) / 1000
	d.Seconds = &seconds
}

func (d *Data) event(name string) (instance.Event, error) {
	b, err := json.Marshal(d)
	return instance.Event{Name: name, Data: b}, err
}

// userPrefix is what account.Inbox puts before a user's id.
var userPrefix = strings.TrimSuffix(account.Inbox(0), "0")

// userOf is the person whose being online a topic's hearers are; 0 for a topic
// of another kind.
func userOf(topic string) uint64 {
	id, ok := strings.CutPrefix(topic, userPrefix)
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// told says whether it is said of a topic that it is occupied: of the feed,
// instances, endpoints of bots, and rooms, which only bots hear as such: people
// hear their inbox. What the server needs for itself is nobody's business.
func told(topic string) bool {
	kind, _, more := strings.Cut(topic, "/")
	return topic == chat.FeedTopic || more && (kind == "instance" || kind == "bot" || kind == "room")
}

// Session is one of a client.
type Session struct {
	Gateway string
	Topic   string // that it hears
	User    uint64 // 0: nobody in particular
	Login   uint64 // 0: none
	Opened  time.Time
}

// Closed is a session that has ended.
type Closed struct {
	Session
	Code   uint16 // 0: it was refused after all, which is no end
	Reason string
	at     time.Time // zero: nobody knows
	row    uint64    // that it was kept in; 0: in none
}

// subject counts the closed sessions of a person or, where it is nobody, of an
// instance, or of the gateway.
func (c *Session) subject() string {
	of := c.Gateway
	switch {
	case c.User != 0:
		of = account.Inbox(c.User)
	case c.instance() != 0:
		of = c.Topic
	}
	return of + "/sessions"
}

func (c *Session) instance() uint64 {
	id, ok := strings.CutPrefix(c.Topic, instancePrefix)
	n, err := strconv.ParseUint(id, 10, 64)
	if !ok || err != nil {
		return 0
	}
	return n
}

var instancePrefix = strings.TrimSuffix(instance.Topic(0), "0")
