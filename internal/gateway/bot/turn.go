package bot

import (
	"context"
	"slices"
	"sync"

	"github.com/kabar-io/kabar/internal/process"
)

// The bounds of what waits to be run for one connection. What does not fit is
// read from the log when there is room.
const (
	maxHeard  = 64 << 10 // bytes of triggers that wait
	roomAgain = maxHeard / 4
)

// turns are whose turn it is on one connection: a frame's, or a trigger's. One
// of them at a time.
type turns struct {
	mu       sync.Mutex
	busy     bool          // guarded by mu: something runs
	queued   bool          // guarded by mu: the connection is in its lane's list
	connect  bool          // guarded by mu: the connect trigger has not run
	left     bool          // guarded by mu: the disconnect trigger has not run
	gone     bool          // guarded by mu: the connection has ended
	frame    chan struct{} // guarded by mu: closed to let a frame that waits run; nil while none does
	wasFrame bool          // guarded by mu: what ran last was a frame
	heard    []byte        // guarded by mu: triggers that wait, from their nextTrigger on
	full     []*ear        // guarded by mu: those that were refused
	unsent   []byte        // guarded by mu: a push that the connection had no room for
	blocked  bool          // guarded by mu: and has none yet
	drained  bool          // guarded by mu: it has room since the last refusal, or a while longer
}

// waits says whether there is something for an executor. While the connection
// has no room for a push, what would cause another waits. Needs mu.
func (t *turns) waits() bool {
	return t.connect || t.frame != nil || t.left || !t.blocked && (len(t.heard) > 0 || t.unsent != nil)
}

// hears says whether a trigger could be next. Needs mu.
func (t *turns) hears() bool { return !t.blocked && len(t.heard) > 0 }

// ask says whether the connection is to be put into its lane's list. Needs mu.
func (t *turns) ask() bool {
	if t.busy || t.queued || !t.waits() {
		return false
	}
	t.queued = true
	return true
}

// take waits until it is a frame's turn; false where ctx ends first. A trigger
// that waits runs between two frames.
func (s *socket) take(ctx context.Context) bool {
	t := &s.turns
	t.mu.Lock()
	if !t.busy && !t.connect && !(t.wasFrame && t.hears()) {
		t.busy, t.wasFrame = true, true
		t.mu.Unlock()
		return true
	}
	mine := make(chan struct{})
	t.frame = mine
	ask := t.ask()
	t.mu.Unlock()
	if ask {
		s.lane.add(s)
	}
	select {
	case <-mine:
		return true
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.frame != mine { // it became our turn meanwhile
		return true
	}
	t.frame = nil
	return false
}

// give ends a turn.
func (s *socket) give() {
	t := &s.turns
	t.mu.Lock()
	t.busy = false
	ask := t.ask()
	t.mu.Unlock()
	if ask {
		s.lane.add(s)
	}
}

// wake puts the connection into its lane's list if there is something to run.
func (s *socket) wake() {
	t := &s.turns
	t.mu.Lock()
	ask := t.ask()
	t.mu.Unlock()
	if ask {
		s.lane.add(s)
	}
}

// next is what an executor does now for this connection, which has its turn
// then; ok is false where there is nothing.
func (t *turns) next() (do process.Trigger, unsent []byte, room []*ear, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queued = false
	if t.busy {
		return do, nil, nil, false
	}
	switch {
	case t.connect:
		t.connect, do.On = false, process.OnConnect
	case t.frame != nil && !(t.wasFrame && t.hears()):
		close(t.frame)
		t.frame, t.busy, t.wasFrame = nil, true, true
		return do, nil, nil, false
	case t.unsent != nil && !t.blocked:
		unsent, t.unsent = t.unsent, nil
	case t.hears():
		if do, t.heard, ok = nextTrigger(t.heard); !ok {
			do = process.Trigger{} // it cannot be: we wrote it
		}
		if !ok || len(t.heard) == 0 {
			t.heard = nil
		}
		t.wasFrame = false
		if len(t.heard) <= roomAgain {
			room, t.full = t.full, nil
		}
	case t.left:
		t.left, do.On = false, process.OnDisconnect
	default:
		return do, nil, nil, false
	}
	t.busy = true
	return do, unsent, room, true
}

// hear takes triggers for later, all or none; false where there is no room.
func (s *socket) hear(e *ear, frames [][]byte) bool {
	if !s.listens.Load() {
		return true // the process has no rule for what it hears
	}
	total := 0
	for _, f := range frames {
		total += len(f)
	}
	t := &s.turns
	t.mu.Lock()
	switch {
	case t.gone:
		t.mu.Unlock()
		return true
	case len(t.heard) > 0 && len(t.heard)+total > maxHeard:
		if !slices.Contains(t.full, e) { // what is told comes while it waits, too
			t.full = append(t.full, e)
		}
		t.mu.Unlock()
		return false
	}
	for _, f := range frames {
		t.heard = append(t.heard, f...)
	}
	ask := t.ask()
	t.mu.Unlock()
	if ask {
		s.lane.add(s)
	}
	return true
}

// end says that the connection has gone: of what waits, only its connect and
// disconnect triggers run, the latter where there is a rule for it.
func (s *socket) end(disconnect bool) {
	t := &s.turns
	t.mu.Lock()
	t.gone, t.left, t.heard, t.full, t.unsent, t.blocked = true, disconnect, nil, nil, nil, false
	t.mu.Unlock()
	s.wake()
}

// push sends what no frame asked for; the turn is ours. Where the connection
// has no room, it waits until there is some, and what would cause more with it.
func (s *socket) push(frame []byte) {
	t := &s.turns
	for !s.conn.Send(frame) {
		t.mu.Lock()
		if !t.drained { // else the room came between the refusal and here
			if !t.gone {
				t.unsent, t.blocked = frame, true
			}
			t.mu.Unlock()
			return
		}
		t.drained = false
		t.mu.Unlock()
	}
}

// drain says that the connection has room again.
func (s *socket) drain() {
	t := &s.turns
	t.mu.Lock()
	t.drained, t.blocked = !t.blocked, false
	t.mu.Unlock()
	s.wake()
}
