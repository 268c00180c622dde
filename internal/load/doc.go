// Package load puts a running server under load from outside, through any of
// its gateways, and measures what comes of it: how many connect, how many
// messages arrive, and how long they take. kabar bench is its face.
//
// It knows what travels over the wire and no package of the server. What it
// needs it makes through the server's HTTP, under names that begin with bench-,
// and takes away again as far as the server can; it touches nothing else.
//
// A message carries its number and the time when it was due, by this process's
// own monotonic clock, and so each receiver can tell how long it took. Due is
// when the rate says so: a sender that is held up makes its messages late
// instead of fewer. Each message is accounted for by itself: what was
// acknowledged and did not reach everybody who was to hear it, is missing.
//
// The way of a run is in run.go, that of one connection in client.go, and the
// bookkeeping in tally.go. Each gateway's load is in the file of its name, and
// the accounts that some of them need are made in people.go.
package load
