package load

import "sync"

// said is what a client said on its connection, for dialects whose answers name
// it by its place only.
type said struct {
	mu sync.Mutex
	ms []message // guarded by mu
}

// begin is for a new connection. It returns what nobody will answer any more.
func (s *said) begin() []message {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.ms
	s.ms = nil
	return old
}

// add notes what is said next, before it is: the answer may come before the
// write has returned. Between two connections nothing is said.
func (s *said) add(c *client, m message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.conn.Load() == nil {
		return false
	}
	s.ms = append(s.ms, m)
	return true
}

// at is what was said at a place, from 1.
func (s *said) at(place int) (message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if place < 1 || place > len(s.ms) {
		return message{}, false
	}
	return s.ms[place-1], true
}

// next takes away what was said first and not answered yet.
func (s *said) next() (message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ms) == 0 {
		return message{}, false
	}
	m := s.ms[0]
	s.ms = s.ms[1:]
	return m, true
}
