package hub

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// ErrEnded is the answer to a session that rests on what has just ended.
var ErrEnded = status.Errorf(status.Unauthenticated, "", "the login or token has ended; get a new one")

// ErrClosing is the answer to a session that comes after Close.
var ErrClosing = status.Errorf(status.Unavailable, "CLOSING", "the server is going down; come back in a moment")

// rememberEnded is how long an end is remembered: a session that was checked
// before it and subscribes after it would otherwise live on.
const rememberEnded = 5 * time.Minute

// credentials knows every session, and what each rests on.
type credentials struct {
	ended atomic.Int64

	mu      sync.Mutex
	holders map[Credential]*Session              // guarded by mu: the first session of each, mostly the only one
	others  map[Credential]map[*Session]struct{} // guarded by mu: the rest
	loose   map[*Session]struct{}                // guarded by mu: those that rest on nothing
	over    map[Credential]time.Time             // guarded by mu: when a credential ended
	until   map[*Session]struct{}                // guarded by mu: those that have an end
	closing bool                                 // guarded by mu: nobody comes any more
}

func (c *credentials) init() {
	c.holders = map[Credential]*Session{}
	c.others = map[Credential]map[*Session]struct{}{}
	c.loose = map[*Session]struct{}{}
	c.over = map[Credential]time.Time{}
	c.until = map[*Session]struct{}{}
}

func (c *credentials) add(s *Session) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return ErrClosing
	}
	names := s.credentials()
	for _, name := range names {
		if _, over := c.over[name]; over && name != 0 {
			return ErrEnded
		}
	}
	for _, name := range names {
		if name == 0 {
			continue
		}
		if c.holders[name] == nil {
			c.holders[name] = s
			continue
		}
		if c.others[name] == nil {
			c.others[name] = map[*Session]struct{}{}
		}
		c.others[name][s] = struct{}{}
	}
	if names == [2]Credential{} {
		c.loose[s] = struct{}{}
	}
	if s.Until != 0 {
		c.until[s] = struct{}{}
	}
	return nil
}

// credentials are what the session rests on, 0 for nothing.
func (s *Session) credentials() [2]Credential { return [2]Credential{s.Credential, s.Ticket} }

func (c *credentials) remove(s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.loose, s)
	delete(c.until, s)
	for _, name := range s.credentials() {
		if c.holders[name] == s {
			delete(c.holders, name)
		} else if set := c.others[name]; set != nil {
			delete(set, s)
			if len(set) == 0 {
				delete(c.others, name)
			}
		}
	}
}

// end closes the sessions that rest on what m ends, and refuses new ones.
func (c *credentials) end(m *journal.Message) {
	c.mu.Lock()
	name := CredentialOf(m.Ends)
	c.over[name] = time.Now()
	closing := slices.Collect(maps.Keys(c.others[name]))
	if s := c.holders[name]; s != nil {
		closing = append(closing, s)
	}
	c.mu.Unlock()
	for _, s := range closing {
		c.ended.Add(1)
		s.bye(m)
	}
}

// expire closes sessions whose time is over, until ctx ends.
func (c *credentials) expire(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, s := range c.expired(now) {
				c.ended.Add(1)
				s.Conn.Close(status.Unauthenticated.Close(), "the login or token has expired")
			}
		}
	}
}

func (c *credentials) expired(now time.Time) (closing []*Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.until {
		if now.UnixMilli() > s.Until {
			closing = append(closing, s)
			delete(c.until, s)
		}
	}
	for name, at := range c.over {
		if now.Sub(at) > rememberEnded {
			delete(c.over, name)
		}
	}
	return closing
}

// close lets nobody in any more, and returns who is there.
func (c *credentials) close() []*Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	return c.all()
}

// all are the sessions that there are. mu is held.
func (c *credentials) all() []*Session {
	all := maps.Clone(c.loose)
	for _, s := range c.holders {
		all[s] = struct{}{}
	}
	for _, set := range c.others {
		maps.Copy(all, set)
	}
	return slices.Collect(maps.Keys(all))
}
