package hub

import (
	"maps"
	"slices"
)

// SessionsOf are the sessions that rest on a credential at this moment, in no
// order.
func (h *Hub) SessionsOf(name Credential) []*Session {
	c := &h.creds
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.Collect(maps.Keys(c.others[name]))
	if s := c.holders[name]; s != nil {
		all = append(all, s)
	}
	return all
}

// Sessions are those of clients at this moment, in no order.
func (h *Hub) Sessions() []*Session {
	h.creds.mu.Lock()
	defer h.creds.mu.Unlock()
	return slices.DeleteFunc(h.creds.all(), func(s *Session) bool { return s.Inside != 0 })
}

// Left says whether the session was taken out again (see Hub.Unsubscribe).
func (s *Session) Left() bool { return s.closed() }

// Live says whether the session has everything, and hears what comes as it
// comes; if not, it is catching up.
func (s *Session) Live() bool { return s.flags.Load()&stateBits == live }
