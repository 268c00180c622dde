package lifecycle

import (
	"context"
	"maps"
	"time"

	"github.com/kabar-io/kabar/internal/hub"
)

// open is the sessions that are open. A row is kept of each, from soon after it
// opened until the change that says that it closed: those that a start finds
// are those that the server before it was killed with. One that closes before
// it got a row needs none.
type open struct {
	news map[*hub.Session]Session // no row is kept of them yet
	rows map[*hub.Session]uint64  // the others, with the ids of their rows
	gone []uint64                 // rows of sessions whose end is not said
}

func newOpen() open {
	return open{news: map[*hub.Session]Session{}, rows: map[*hub.Session]uint64{}}
}

// rows says which rows of open sessions are whose.
type rows struct {
	of   uint64 // the instance
	last uint64 // id that was given
	left uint64 // up to this id they are of servers that were killed; 0: none are left
}

// Opened takes that a session has opened, once the hub has it. It does not wait.
func (s *Service) Opened(key *hub.Session, o Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, has := s.open.rows[key]; has || !s.Wants() || key.Left() { // whoever takes it out says Closed after that
		return
	}
	s.open.news[key] = o
	s.signal()
}

// Closed takes that a session has ended, once the hub has it no more. It does
// not wait.
func (s *Service) Closed(key *hub.Session, c Closed) {
	c.at = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.Wants() {
		return
	}
	c.row = s.open.rows[key]
	delete(s.open.rows, key)
	delete(s.open.news, key)
	full := len(s.closed) >= MaxWaiting
	switch {
	case c.Code != 0 && !full:
		s.closed = append(s.closed, c)
	case c.row != 0:
		s.open.gone = append(s.open.gone, c.row)
	}
	if c.Code != 0 && full {
		s.stats.dropped.Add(1)
	}
	s.signal()
}

// take gives sessions that have no row one, as many as a group has room for.
// s.mu is held.
func (o *open) take(last *uint64) (list []opened, gone []uint64) {
	for key, session := range o.news {
		if len(list) == perGroup {
			break
		}
		*last++
		list = append(list, opened{key, Kept{*last, session}})
		o.rows[key] = *last
		delete(o.news, key)
	}
	n := min(len(o.gone), perGroup)
	gone, o.gone = o.gone[:n:n], o.gone[n:]
	return list, gone
}

// back takes those whose rows could not be kept. s.mu is held.
func (o *open) back(list []opened, gone []uint64) {
	for _, k := range list {
		if o.rows[k.key] == k.ID { // and else it has closed meanwhile
			delete(o.rows, k.key)
			o.news[k.key] = k.Session
		}
	}
	o.gone = append(gone, o.gone...)
}

// opened is a session that gets a row.
type opened struct {
	key *hub.Session
	Kept
}

// keep begins with an instance: what is kept of it is of servers that were
// killed, and what is open now gets rows.
func (s *Service) keep(ctx context.Context, of uint64) error {
	if of == s.rows.of {
		return nil
	}
	last, err := s.o.Store.LastSession(ctx, of)
	if err != nil {
		return err
	}
	s.rows = rows{of: of, last: last, left: last}
	s.mu.Lock()
	news := s.open.news
	s.open = newOpen()
	maps.Copy(s.open.news, news)
	for i := range s.closed { // theirs went with the instance before this one
		s.closed[i].row = 0
	}
	s.mu.Unlock()
	if s.o.Open != nil {
		s.o.Open(s.Opened)
	}
	return nil
}

// killed takes the ends of sessions that a server was killed with, which nobody
// said. They are said before anything else is, so that the numbers of a subject
// are in the order of its events.
func (s *Service) killed(ctx context.Context) (g group, err error) {
	list, err := s.o.Store.Sessions(ctx, s.rows.of, s.rows.left, perGroup)
	for _, k := range list {
		c := &Closed{Session: k.Session, Code: abnormal, Reason: Killed, row: k.ID}
		g.items = append(g.items, item{subject: c.subject(), closed: c})
	}
	if len(list) > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		g.opened, g.gone = s.open.take(&s.rows.last)
	}
	return g, err
}

// abnormal is the code of a WebSocket that ended without one.
const abnormal = 1006
