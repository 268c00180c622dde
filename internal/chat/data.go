package chat

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/kabar-io/kabar/internal/account"
)

// The kinds of message that chat says, and what stands in their Data. They
// enter the inboxes of those whom they concern; messages, edits, deletions,
// clears, calls and who belongs to a group enter the room's record too.
const (
	KindMessage = "message.sent"    // MessageSent
	KindEdited  = "message.edited"  // MessageEdited
	KindDeleted = "message.deleted" // MessageEdited, its Text ""
	KindRead    = "messages.read"   // MessagesRead; not in the record; of a group told and not kept
	KindCleared = "room.cleared"    // RoomEvent
	KindCall    = "call.ended"      // CallEnded; in the record alone
	KindJoined  = "member.joined"   // MemberEvent
	KindLeft    = "member.left"     // MemberEvent
	KindKicked  = "member.kicked"   // MemberEvent; the one who has to go hears it too
	KindRelayed = "relayed"         // Relayed; only in the receivers' inboxes, or told and not kept

	// FriendEvent, in both people's inboxes.
	KindRequested = "friend.requested" // By asked User
	KindAccepted  = "friend.accepted"  // By said yes to User, who had asked
	KindWithdrawn = "friend.withdrawn" // By, who had asked User, asks no more
	KindDeclined  = "friend.declined"  // By said no to User, who had asked
	KindEnded     = "friend.ended"     // By ended the friendship with User

	// Told to who is there, not kept.
	KindTyping = "typing"      // Typing, in the receivers' inboxes and the room's record
	KindSignal = "call.signal" // Signal, in the receiver's inbox
	KindLikes  = "post.likes"  // Likes, in PostsTopic
)

// PostsTopic is where those who watch posts hear of them.
const PostsTopic = "posts"

// RoomTopic is the topic of a room's record. A group's room has its id.
func RoomTopic(room uint64) string {
	return string(strconv.AppendUint(append(make([]byte, 0, 25), "room/"...), room, 10))
}

// MessageSent is a message. In a private one To and Receiver are set, and the
// owner of an inbox is its receiver where To is their id, else its sender; in a
// group Group is. A message that nobody in particular wrote has no sender.
type MessageSent struct {
	Room     uint64           `json:"room"`
	To       uint64           `json:"to,omitempty"`
	Text     string           `json:"text"`
	Sender   account.Profile  `json:"sender"`
	Receiver *account.Profile `json:"receiver,omitempty"`
	Group    *GroupProfile    `json:"group,omitempty"`
	Reply    string           `json:"reply,omitempty"` // the id of the message that this one answers
}

// GroupProfile is what a message says of a group, as it was.
type GroupProfile struct {
	ID    uint64 `json:"id"`
	Name  string `json:"name"`
	Owner uint64 `json:"owner"`
}

// MessageEdited is a message as it stands now.
type MessageEdited struct {
	MessageSent
	Of   string    `json:"of"`   // the id of the message
	Sent time.Time `json:"sent"` // when it was said
}

// MessagesRead says that By has read a room up to the message Last.
type MessagesRead struct {
	Room  uint64          `json:"room"`
	To    uint64          `json:"to,omitempty"`
	Group *GroupProfile   `json:"group,omitempty"`
	By    account.Profile `json:"by"`
	Last  string          `json:"last"`
}

// RoomEvent is something that By did to a whole room.
type RoomEvent struct {
	Room  uint64          `json:"room"`
	To    uint64          `json:"to,omitempty"`
	Group *GroupProfile   `json:"group,omitempty"`
	By    account.Profile `json:"by"`
}

// MemberEvent says that User came into a group or left it, by By's doing. Group
// is how it was after that.
type MemberEvent struct {
	Group GroupProfile    `json:"group"`
	User  account.Profile `json:"user"`
	By    account.Profile `json:"by"`
}

// CallEnded is a call's line in a room's record.
type CallEnded struct {
	MessageSent
	Call Call `json:"call"`
}

// Call is how a call went.
type Call struct {
	Key     string `json:"key"`     // names the call
	Seconds int    `json:"seconds"` // how long they talked; 0 missed, -1 rejected
}

// Relayed is what one client says to others in words of their own.
type Relayed struct {
	To      uint64          `json:"to,omitempty"`
	Group   *GroupProfile   `json:"group,omitempty"`
	Payload json.RawMessage `json:"payload"`
}

// Typing says that By is writing.
type Typing struct {
	By    account.Profile `json:"by"`
	To    uint64          `json:"to,omitempty"`
	Group *GroupProfile   `json:"group,omitempty"`
}

// Signal is a step of a call that By sets up; of its end nobody may be named.
type Signal struct {
	By      account.Profile `json:"by"`
	Payload json.RawMessage `json:"payload"`
}

// Likes is how many people like a post now.
type Likes struct {
	Post  string `json:"post"`
	Likes int    `json:"likes"`
}

// FriendEvent is something between two people, as they were then. The owner of
// an inbox is the one who acted where By has their id, else the one to tell.
type FriendEvent struct {
	By   account.Profile `json:"by"`
	User account.Profile `json:"user"`
	Room uint64          `json:"room,omitempty"` // their private room, once they have one
}
