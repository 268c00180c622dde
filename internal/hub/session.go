package hub

import (
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// Session is one client's hearing of one topic. Its exported fields are set
// before Subscribe and never after.
type Session struct {
	Conn       Conn
	Format     Format
	Topic      string
	User       uint64    // 0: nobody
	Name       string    // under which presence knows it, "" for no name
	Key        uint64    // does not hear messages with this Except; 0: hears all
	Credential string    // closed when a message Ends it (see Ender); "": rests on none
	Ticket     string    // a second one that it rests on; "": none
	Until      time.Time // closed with 4001 then; zero: never
	Presence   bool      // hears who is here, who joined and who left
	Inside     bool      // is the server's own, and no connected client: it is not counted
	Skip       bool      // when too slow, loses what it missed instead of catching up

	shard   *shard
	group   atomic.Pointer[group] // set while live; changed by the shard
	pos     atomic.Uint64         // changed by the shard while live, by the reader while catching up
	state   atomic.Int32
	drained atomic.Bool
	closed  atomic.Bool
	slow    atomic.Bool // fell back from live
	place   place       // while live; owned by the shard
}

// place is where a session is among the live ones of its topic.
type place struct {
	index int    // in group.sessions
	told  uint64 // of what its topic told, it was sent this much before it was live
}

// A session is live, or it is catching up: reading, or waiting for its
// connection to have room.
const (
	reading int32 = iota
	waiting
	live
)

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
	s.drained.Store(true)
	s.resume()
}

func (s *Session) resume() {
	if s.state.CompareAndSwap(waiting, reading) {
		s.drained.Store(false)
		s.shard.hub.read(s)
	}
}

// wait parks a session whose connection refused, until Drained. The room may
// have come between the refusal and here.
func (s *Session) wait() {
	s.state.Store(waiting)
	if s.drained.Load() {
		s.resume()
	}
}

// tell hands over one message that is not kept; false where there is no room.
func (s *Session) tell(m *journal.Message) bool {
	frame := s.Format.Append(nil, m, 0)
	return len(frame) == 0 || s.Conn.Send(frame)
}

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

// encode appends what of ms the session has not heard and may hear, and
// returns the seq of the last.
func (s *Session) encode(dst []byte, ms []*journal.Message, limit int) (frames []byte, last uint64) {
	last = s.pos.Load()
	for _, m := range ms {
		seq := m.Seq(s.Topic)
		if seq <= last {
			continue
		}
		if m.Except == 0 || m.Except != s.Key {
			dst = s.Format.Append(dst, m, seq)
		}
		last = seq
		if len(dst) >= limit {
			break
		}
	}
	return dst, last
}
