package hub

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// Session is one client's hearing of one topic. Its exported fields are set
// before Subscribe and never after. There are as many as there are clients:
// size_test.go counts its bytes.
type Session struct {
	Conn       Conn
	Format     Format
	Topic      string
	Name       string     // under which presence knows it, "" for no name
	User       uint64     // 0: nobody
	Key        uint64     // does not hear messages with this Except; 0: hears all
	Credential Credential // closed when a message Ends it (see Ender); 0: rests on none
	Ticket     Credential // a second one that it rests on; 0: none
	Until      int64      // closed with 4001 then, in Unix milliseconds; 0: never
	Presence   bool       // hears who is here, who joined and who left
	Inside     Inside     // 0: a connected client; the others are not counted
	Skip       bool       // when too slow, loses what it missed instead of catching up

	slow  bool          // fell back from live; changed by the shard, read by who reads for it
	index int32         // where in its group it is while live, or among the fresh (see there); owned by the shard
	flags atomic.Uint32 // its state, and what others say of it
	began uint32        // when it was added (see Opened); static from then on
	shard *shard
	group atomic.Pointer[group] // set while live; changed by the shard
	pos   atomic.Uint64         // changed by the shard while live, by the reader while catching up
}

// Inside says of a session that it is no client's connection to the server.
type Inside byte

// The sessions that are not counted as clients.
const (
	Beside Inside = 1 + iota // one more topic of a client that is counted already
	Own                      // the server's own: a topic that nobody else hears is not occupied
)

// Credential names what sessions rest on, in eight bytes each: a hash of the
// name, 0 for none. That two names among a million are the same one has a
// chance of 1 in 30 million; a session would then end with another's login,
// and nothing be said to anybody who may not hear it.
type Credential uint64

var credentialSeed = maphash.MakeSeed()

// CredentialOf is the credential of a name, such as "login/4"; "" is none.
func CredentialOf(name string) Credential {
	if name == "" {
		return 0
	}
	return max(1, Credential(maphash.String(credentialSeed, name)))
}

// A session is live, or it is catching up: reading, or waiting for its
// connection to have room.
const (
	reading uint32 = iota // without a bit
	waiting
	live
	stateBits uint32 = 3
)

// What others say of a session, beside its state.
const (
	drained    uint32 = 4 << iota // its connection has room again
	closed                        // it has gone
	uninformed                    // it watches, and was not told who came or went
)

// become gives the session another state.
func (s *Session) become(state uint32) {
	for {
		old := s.flags.Load()
		if s.flags.CompareAndSwap(old, old&^stateBits|state) {
			return
		}
	}
}

func (s *Session) closed() bool { return s.flags.Load()&closed != 0 }

// Position is up to which seq of its topic everything was handed to the
// connection.
func (s *Session) Position() uint64 {
	// While a session is live its group's position is its own, which saves
	// writing to each session. The shard takes a session out of the group
	// before it moves the group past what that session did not get, so a
	// position read while the group is still the session's is true for it.
	if g := s.group.Load(); g != nil {
		sent := g.sent.Load()
		if s.group.Load() == g {
			return max(sent, s.pos.Load())
		}
	}
	return s.pos.Load()
}

// Drained says that the connection has room again after it refused.
func (s *Session) Drained() {
	s.flags.Or(drained)
	s.resume()
}

// resume lets a session read on that waits for room and has it.
func (s *Session) resume() {
	for {
		old := s.flags.Load()
		if old&stateBits != waiting || old&drained == 0 {
			return
		}
		if s.flags.CompareAndSwap(old, old&^(stateBits|drained)) { // and so it is reading
			s.shard.hub.read(s)
			return
		}
	}
}

// wait parks a session whose connection refused, until Drained. The room may
// have come between the refusal and here.
func (s *Session) wait() {
	s.become(waiting)
	s.resume()
}

// tell hands over one message that is not kept; false where there is no room.
func (s *Session) tell(m *journal.Message) bool {
	frame := s.Format.Append(nil, m, 0)
	return len(frame) == 0 || s.Conn.Send(frame)
}

// excepted says that a message is not for this session.
func (s *Session) excepted(m *journal.Message) bool { return m.Except != 0 && m.Except == s.Key }

// bye closes the connection of a session whose credential m ended.
func (s *Session) bye(m *journal.Message) {
	code, reason := status.Unauthenticated.Close(), "the login or token has ended"
	if e, ok := s.Format.(Ender); ok {
		var frame []byte
		if frame, code, reason = e.End(m); len(frame) > 0 {
			s.Conn.Send(frame)
		}
	}
	s.Conn.Close(code, reason)
}

// expired closes the connection of a session that was to hear what is not kept
// any more: it would miss it unknowingly.
func (s *Session) expired() {
	s.Conn.Close(status.Gone.Close(), "expired")
}

// encode appends what of ms the session has not heard and may hear, and
// returns the seq of the last.
func (s *Session) encode(dst []byte, ms []*journal.Message, limit int) (frames []byte, last uint64) {
	last = s.pos.Load()
	for _, m := range ms {
		seq := m.Seq(s.Topic)
		if seq <= last {
			continue
		}
		if !s.excepted(m) {
			dst = s.Format.Append(dst, m, seq)
		}
		last = seq
		if len(dst) >= limit {
			break
		}
	}
	return dst, last
}
