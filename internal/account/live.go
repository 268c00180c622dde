package account

import (
	"context"
	"sync"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// Bounds of the logins that are kept in memory. Past either they are gathered
// anew: what they are for, between asking for a code and connecting with it,
// takes seconds.
const (
	maxLive = 8192
	liveFor = time.Minute
)

// liveLogin is a login as it stands in the store, with its user. It is never
// changed, but replaced.
type liveLogin struct {
	user   User
	login  Login
	ticket Ticket

	// By what it was found, zero for what nobody came with yet.
	token  digest
	secret digest // of the ticket
}

// liveLogins are logins that need no look into the store. They are exact: what
// a change made of a login is seen here before whoever asked for the change is
// answered, and what was read before it is not taken in after it.
type liveLogins struct {
	mu       sync.Mutex
	since    time.Time             // guarded by mu: when they began to be gathered
	changes  uint64                // guarded by mu: how many there were
	byID     map[uint64]*liveLogin // guarded by mu
	byToken  map[digest]*liveLogin // guarded by mu
	byTicket map[digest]*liveLogin // guarded by mu
}

func newLiveLogins() *liveLogins {
	x := &liveLogins{}
	x.clear(time.Time{})
	return x
}

// clear needs mu.
func (x *liveLogins) clear(now time.Time) {
	x.since = now
	x.byID, x.byToken, x.byTicket = map[uint64]*liveLogin{}, map[digest]*liveLogin{}, map[digest]*liveLogin{}
}

// find looks a login up, nil for one that is not here. changes is for keep.
func (x *liveLogins) find(now time.Time, lookup func() *liveLogin) (l *liveLogin, changes uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if past := now.Sub(x.since); past < 0 || past > liveFor {
		x.clear(now)
	}
	return lookup(), x.changes
}

// keep takes in what was read since find, if nothing changed meanwhile.
func (x *liveLogins) keep(changes uint64, l liveLogin) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.changes == changes {
		x.put(l)
	}
}

// opened takes in a login with its new ticket, in the order of the changes.
func (x *liveLogins) opened(l liveLogin) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.put(l)
}

// put takes in what is true at this moment. It needs mu.
func (x *liveLogins) put(l liveLogin) {
	if len(x.byID) >= maxLive {
		x.clear(x.since)
	}
	if old := x.byID[l.login.ID]; old != nil {
		if l.token == (digest{}) {
			l.token = old.token
		}
		if l.secret == (digest{}) {
			l.ticket, l.secret = old.ticket, old.secret
		}
		x.remove(old)
	}
	x.byID[l.login.ID] = &l
	if l.token != (digest{}) {
		x.byToken[l.token] = &l
	}
	if l.secret != (digest{}) {
		x.byTicket[l.secret] = &l
	}
}

// remove needs mu.
func (x *liveLogins) remove(l *liveLogin) {
	delete(x.byID, l.login.ID)
	delete(x.byToken, l.token)
	delete(x.byTicket, l.secret)
}

// changed takes in what a change did.
func (x *liveLogins) changed(n *noting) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.changes++
	if n.swept {
		x.clear(x.since)
	}
	for _, id := range n.logins {
		if l := x.byID[id]; l != nil {
			x.remove(l)
		}
	}
	for _, id := range n.users {
		for _, l := range x.byID {
			if l.user.ID == id {
				x.remove(l)
			}
		}
	}
	for _, m := range n.moved {
		if l := x.byID[m.ID]; l != nil && l.login.Seen.Before(m.Seen) {
			to := *l
			to.login.Seen, to.login.Expires = m.Seen, m.Expires
			x.put(to)
		}
	}
}

// noting is a Tx that notes what a change makes of logins.
type noting struct {
	Tx
	tx    *journal.Tx
	known *liveLogins

	noted         bool
	users, logins []uint64
	moved         []Login // ID, Seen and Expires
	swept         bool
}

// note lets liveLogins know, once the change is durable and before anybody is
// told so.
func (n *noting) note() {
	if !n.noted {
		n.noted = true
		n.tx.After(func() { n.known.changed(n) })
	}
}

// SetUser notes that logins of the user have to be read anew.
func (n *noting) SetUser(ctx context.Context, u User) error {
	n.note()
	n.users = append(n.users, u.ID)
	return n.Tx.SetUser(ctx, u)
}

// MoveLogin notes when a login was used.
func (n *noting) MoveLogin(ctx context.Context, id uint64, seen, expires time.Time) error {
	n.note()
	n.moved = append(n.moved, Login{ID: id, Seen: seen, Expires: expires})
	return n.Tx.MoveLogin(ctx, id, seen, expires)
}

// DropLogin notes that a login is over.
func (n *noting) DropLogin(ctx context.Context, id uint64) (bool, error) {
	n.note()
	n.logins = append(n.logins, id)
	return n.Tx.DropLogin(ctx, id)
}

// DropTicket notes that a login's ticket is over.
func (n *noting) DropTicket(ctx context.Context, login uint64) error {
	n.note()
	n.logins = append(n.logins, login)
	return n.Tx.DropTicket(ctx, login)
}

// Sweep notes that any login may be gone.
func (n *noting) Sweep(ctx context.Context, before time.Time, limit int) error {
	n.note()
	n.swept = true
	return n.Tx.Sweep(ctx, before, limit)
}

// liveByID is a login that is worth something at this moment.
func (s *Service) liveByID(ctx context.Context, id uint64) (User, Login, error) {
	known, changes := s.known.find(s.o.Now(), func() *liveLogin { return s.known.byID[id] })
	if known != nil {
		return s.live(known.user, known.login, true, nil)
	}
	u, l, err := s.live(s.o.Store.Login(ctx, id))
	if err == nil {
		s.known.keep(changes, liveLogin{user: u, login: l})
	}
	return u, l, err
}
