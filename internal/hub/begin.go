package hub

import (
	"crypto/rand"

	"github.com/kabar-io/kabar/internal/journal"
)

// Kept begins with what follows a position that was kept for somebody. Where
// some of that is not there any more, it begins with what is left: the first
// thing that the session's format is given to say is KindExpired, with how much
// is gone.
func Kept(seq uint64) Start { return Start{kind: startKept, n: seq} }

// Gone is a position that cannot be served, for a reason that is known before
// its topic is looked at: Subscribe says so, with the topic's head.
func Gone(reason string) Start { return Start{kind: startGone, gone: reason} }

// Strict is the same position for who cannot be told that something is gone: it
// is refused instead.
func (s Start) Strict() Start {
	if s.kind == startKept {
		s.kind = startAfter
	}
	return s
}

// KindExpired is the kind of what is said to a session that comes back to a
// position that was kept for it, and finds less than it is owed. Its Data is
// Skipped.
const KindExpired = "session.expired"

// Began is where a session began.
type Began struct {
	Position uint64 // it has everything up to here, or was told how much it lost
	Head     uint64 // where its topic stood
	Lost     uint64 // of what it is owed: what is not kept any more
}

func expired(lost uint64) *journal.Message {
	m := event(KindExpired, Skipped{lost})
	m.ID = rand.Text() // none of the journal's
	return m
}
