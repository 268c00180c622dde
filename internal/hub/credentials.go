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
	holders map[string]map[*Session]struct{} // guarded by mu
	loose   map[*Session]struct{}            // guarded by mu: those that rest on nothing
	over    map[string]time.Time             // guarded by mu: when a credential ended
	until   map[*Session]struct{}            // guarded by mu: those that have an end
	closing bool                             // guarded by mu: nobody comes any more
}

func (c *credentials) init() {
	c.holders = map[string]map[*Session]struct{}{}
	c.loose = map[*Session]struct{}{}
	c.over = map[string]time.Time{}
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
		if _, over := c.over[name]; over && name != "" {
			return ErrEnded
		}
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		set := c.holders[name]
		if set == nil {
			set = map[*Session]struct{}{}
			c.holders[name] = set
		}
		set[s] = struct{}{}
	}
	if names == [2]string{} {
		c.loose[s] = struct{}{}
	}
	if !s.Until.IsZero() {
		c.until[s] = struct{}{}
	}
	return nil
}

// credentials are the names of what the session rests on, "" for none.
func (s *Session) credentials() [2]string { return [2]string{s.Credential, s.Ticket} }

func (c *credentials) remove(s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.loose, s)
	delete(c.until, s)
	for _, name := range s.credentials() {
		if set := c.holders[name]; set != nil {
			delete(set, s)
			if len(set) == 0 {
				delete(c.holders, name)
			}
		}
	}
}

// end closes the sessions that rest on what m ends, and refuses new ones.
func (c *credentials) end(m *journal.Message) {
	c.mu.Lock()
	c.over[m.Ends] = time.Now()
	closing := make([]*Session, 0, len(c.holders[m.Ends]))
	for s := range c.holders[m.Ends] {
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
		if now.After(s.Until) {
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
	all := maps.Clone(c.loose)
	for _, set := range c.holders {
		maps.Copy(all, set)
	}
	return slices.Collect(maps.Keys(all))
}
