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

// Live says whether the session has everything, and hears what comes as it
// comes; if not, it is catching up.
func (s *Session) Live() bool { return s.flags.Load()&stateBits == live }
