package gateway

import (
	"context"
	"errors"
	"sync"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/status"
)

// By is what a client comes back with.
type By uint8

// The ways back. New is none of them: what was said before is not asked for.
const (
	ByNothing  By = iota
	ByPosition    // after=<position>
	ByMessage     // after=<id of a message>
	ByLast        // after=last: what the login, or the consumer, has acknowledged
	ByLogin       // relay's socket id: what the login's sockets have acknowledged
	ByEventID     // Last-Event-ID
	ByLines       // last=<n>
	waysBack   = iota
)

var byWords = [waysBack]string{"nothing", "position", "message", "last", "login", "event_id", "lines"}

func (b By) String() string { return byWords[b] }

// Outcome is what came of coming back.
type Outcome uint8

// The outcomes. Those that are called as a hub.GoneError's reason are refusals.
const (
	OutcomeLive    Outcome = iota // nothing was missed
	OutcomeBehind                 // what was missed is being sent
	OutcomeExpired                // some of it is not kept any more: refused; or, of a kept position, told and begun with what is left
	OutcomeEpoch                  // a position of another log
	OutcomeAhead                  // a position that was never given
	OutcomeFailed                 // something else: too many connections, a login that ended, the log
	outcomes       = iota
)

var outcomeWords = [outcomes]string{"live", "behind", "expired", "epoch", "ahead", "failed"}

func (o Outcome) String() string { return outcomeWords[o] }

// Way is how a client comes back, and where in its topic that is.
type Way struct {
	By    By
	Start hub.Start
}

// Strict is the way of who cannot be told that something is not kept any more:
// they are refused instead.
func (w Way) Strict() Way {
	w.Start = w.Start.Strict()
	return w
}

// Came is how a session came back.
type Came struct {
	By      By
	Outcome Outcome
	Missed  uint32 // how many messages it was behind, with those that are not kept any more
}

// Begin subscribes a session where its way leads, and counts what came of it.
// A position that cannot be served is a *hub.GoneError.
func (e *Edge) Begin(ctx context.Context, s *hub.Session, w Way) (Came, error) {
	b, err := e.Hub.Begin(ctx, s, w.Start)
	c := Came{By: w.By, Missed: uint32(min(b.Head-b.Position+b.Lost, 1<<32-1))}
	switch {
	case err != nil:
		c.Outcome = outcomeOf(err)
	case b.Lost > 0:
		c.Outcome = OutcomeExpired
		e.Log.Info("somebody came back to less than they were owed: the rest is not kept any more", "gateway", e.Name, "by", w.By, "user", s.User, "topic", s.Topic, "lost", b.Lost)
	case b.Head > b.Position:
		c.Outcome = OutcomeBehind
	}
	if w.By != ByNothing {
		e.Resumes.add(Resumed{e.Name, w.By, c.Outcome})
	}
	return c, err
}

// outcomeOf is what an error made of it.
func outcomeOf(err error) Outcome {
	var gone *hub.GoneError
	if errors.As(err, &gone) {
		for _, o := range []Outcome{OutcomeExpired, OutcomeEpoch, OutcomeAhead} {
			if gone.Reason == o.String() {
				return o
			}
		}
	}
	return OutcomeFailed
}

// Resume finds the way of a session that asks for what came after a position:
// "", a position, or "last" for where its owner has everything; first is where
// an owner begins that never said.
func (e *Edge) Resume(ctx context.Context, after, owner string, first func() (uint64, error)) (Way, error) {
	switch after {
	case "":
		return Way{}, nil
	case "last":
		if owner == "" {
			return Way{}, status.Errorf(status.Invalid, "NO_POSITION", "after=last needs a name to keep a position under; give a position instead")
		}
		seq, ok, err := e.Acked.Position(ctx, owner)
		if err == nil && !ok {
			seq, err = first()
		}
		return Way{ByLast, hub.Kept(seq)}, err
	}
	start, err := e.at(after)
	return Way{ByPosition, start}, err
}

// at is where a position begins. One of another log is refused when its topic
// is known.
func (e *Edge) at(position string) (hub.Start, error) {
	seq, err := ParsePosition(position, e.Epoch)
	var gone *hub.GoneError
	if errors.As(err, &gone) {
		return hub.Gone(gone.Reason), nil
	}
	return hub.After(seq), err
}

// Resumed is one kind of coming back.
type Resumed struct {
	Gateway string
	By      By
	Outcome Outcome
}

// Resumes counts who came back, and what came of it.
type Resumes struct {
	mu sync.Mutex
	of map[Resumed]int64 // guarded by mu
}

func (r *Resumes) add(what Resumed) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[Resumed]int64{}
	}
	r.of[what]++
}

// Each calls f for each kind that there was, with how often.
func (r *Resumes) Each(f func(what Resumed, times int64)) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for what, times := range r.of {
		f(what, times)
	}
}
