// Package chat owns what stands between people: friends, requests, blocks,
// private rooms, groups, the messages in them, and posts; it alone says who may
// say what to whom, and who hears it.
//
// It promises: every rule is checked in the change that acts on it, so nothing
// slips in between; two people have one room, which stays theirs and readable
// when a friendship ends; a message is one appended row in the room and the
// inboxes of all who may hear it; that a group was read is told, not kept. A
// block is silent and works both ways: it ends requests, hides addresses, and
// the two are hidden from each other in groups, lists and posts too; the
// friendship rests, and is back when the block is taken away.
//
// It never knows a dialect, a socket or SQL.
package chat
