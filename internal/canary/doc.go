// Package canary connects to the server that it lives in, as its clients do,
// and sees whether what is said there arrives: whether connected still means
// delivered.
//
// Every so often, for each gateway, it opens a WebSocket on the server's own
// listener, says something on it, and waits for it on that connection and on
// the one of the last time. What is said takes the way of any message: read
// from the socket, made durable (one row for each gateway, written again),
// handed to the topic's shard, written in the gateway's own format, and sent.
// It is told and not kept, in a topic that nobody else hears, by sessions that
// are nobody's: the log does not grow, and people see nothing of it. What it
// does not try is who may log in, and what a dialect reads.
package canary
