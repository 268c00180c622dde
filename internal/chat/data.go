package chat

import (
	"strconv"

	"github.com/kabar-io/kabar/internal/account"
)

// The kinds of message that chat says, and what stands in their Data.
const (
	KindMessage = "message.sent" // MessageSent: the room, the receiver's and the sender's inbox

	// FriendEvent, in both people's inboxes.
	KindRequested = "friend.requested" // By asked User
	KindAccepted  = "friend.accepted"  // By said yes to User, who had asked
	KindWithdrawn = "friend.withdrawn" // By, who had asked User, asks no more
	KindDeclined  = "friend.declined"  // By said no to User, who had asked
	KindEnded     = "friend.ended"     // By ended the friendship with User
)

// MessageSent is a private message. The owner of an inbox is its receiver
// where To is their id, else its sender.
type MessageSent struct {
	Room   uint64          `json:"room"`
	To     uint64          `json:"to"`
	Text   string          `json:"text"`
	Sender account.Profile `json:"sender"`
}

// FriendEvent is something between two people, as they were then. The owner of
// an inbox is the one who acted where By has their id, else the one to tell.
type FriendEvent struct {
	By   account.Profile `json:"by"`
	User account.Profile `json:"user"`
	Room uint64          `json:"room,omitempty"` // their private room, once they have one
}

// RoomTopic is the topic of a room's record.
func RoomTopic(room uint64) string { return "room/" + strconv.FormatUint(room, 10) }
