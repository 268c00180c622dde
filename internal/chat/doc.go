// Package chat owns what stands between people: friends, requests, blocks,
// private rooms and the messages in them; it alone says who may say what to
// whom.
//
// It promises: every rule is checked in the change that acts on it, so nothing
// slips in between; two people have one room, which stays theirs and readable
// when a friendship ends; a message is one appended row in the room and both
// inboxes; what concerns another person is said in both inboxes. A block is
// silent and works both ways: it ends requests, lets no message and no request
// through, and hides addresses; the friendship rests, and is back when the
// block is taken away.
//
// It never knows a dialect, a socket or SQL.
package chat
