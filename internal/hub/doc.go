// Package hub brings what was said to who listens: topics, sessions, fan-out,
// catching up, presence, acknowledged positions.
//
// It promises: a session hears every message of its topic after its position,
// once and in order, or it is closed with the reason; one that cannot keep up
// reads on from the log at its own pace and holds up nobody; a message is
// written once for each format, not for each receiver.
//
// A topic belongs to one shard, a goroutine, which alone changes it; the others
// help to send where many hear it. Waiting goes one way, from the log to the
// shard to the connection: a shard never waits. Hub knows no dialect, no SQL,
// no HTTP, no socket.
package hub
