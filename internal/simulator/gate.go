package simulator

import (
	"errors"
	"net/url"
	"sync"
	"time"
)

// gate is what things are heard through while it is open: a membership, or that
// nobody blocks the other.
type gate struct {
	mu    sync.Mutex
	turns []turn // guarded by mu: each opens what the one before shut
}

// turn is when a gate changed: at some time from began to done, by the order of
// things; done is 0 until that is known.
type turn struct{ began, done int64 }

// passage is whether something is heard.
type passage int

const (
	barred passage = iota - 1
	either         // the gate changed at that time
	passes
)

// passed says whether what was said from began to done, 0 for no end, is heard.
// A gate begins open.
func (g *gate) passed(began, done int64) passage {
	g.mu.Lock()
	defer g.mu.Unlock()
	is := passes
	for _, t := range g.turns {
		switch {
		case done != 0 && t.began > done: // it was later
		case t.done == 0 || t.done > began:
			return either
		default:
			is = -is
		}
	}
	return is
}

// passage is what all gates together come to.
func (s *said) passage() passage {
	is := passes
	for _, g := range s.gates {
		is = min(is, g.passed(s.began, s.acked))
	}
	return is
}

// due says that whoever was there at the time is to hear it.
func (s *said) due(since int64) bool { return s.acked != 0 && s.began > since && s.passage() == passes }

// turns changes a gate by a call, until that is carried out. One that is
// refused when it was tried before was carried out then.
func (p *party) turns(g *gate, method, path string, header []string, in any) bool {
	g.mu.Lock()
	i := len(g.turns)
	g.turns = append(g.turns, turn{began: p.w.order.Add(1)})
	g.mu.Unlock()
	p.w.trace.add("%s: %s %s", p.name, method, path)
	for tries := 0; ; tries++ {
		err := p.call(method, path, header, in, nil)
		var no *refused
		if errors.As(err, &no) && !no.passing() && tries == 0 {
			p.w.fail(other, "%s: %s %s was refused: %v", p.name, method, path, err)
			return false
		}
		if err == nil || errors.As(err, &no) && !no.passing() {
			break
		}
		if !p.w.pause(p.between(20*time.Millisecond, 500*time.Millisecond)) {
			return false
		}
	}
	g.mu.Lock()
	g.turns[i].done = p.w.order.Add(1)
	g.mu.Unlock()
	p.w.trace.add("%s: done", p.name)
	return true
}

// populateGates has one of the people block and forgive the other, who leaves
// the group that they are in and joins it again.
func (w *world) populateGates() (peace, member *gate) {
	c := &w.template.cast
	peace, member = &gate{}, &gate{}
	p := w.party("keeper of the gates")
	w.actors = append(w.actors, func() {
		blocks, left := false, false
		for w.pause(p.between(0, 4*time.Second)) && !w.isCalm() {
			if p.chance(40) && !blocks { // an invitation by who blocks is none
				path, in := "/x/group/leave/"+c.group.id, map[string]string(nil)
				if left {
					path, in = "/x/group/join/"+c.group.id, map[string]string{"link": c.group.link}
				}
				if left = !left; !p.turns(member, "POST", path, bearer(c.people[1].logins[speaks].token), in) {
					return
				}
				continue
			}
			method := "POST"
			if blocks {
				method = "DELETE"
			}
			if blocks = !blocks; !p.turns(peace, method, "/api/user/block", bearer(c.people[0].logins[speaks].token), map[string]uint64{"blocked_user_id": c.people[1].id}) {
				return
			}
		}
	})
	return peace, member
}

// found has the two people be in a group.
func (p *party) found(c *cast) {
	var made struct {
		Data struct {
			RoomID string
			Group  struct{ R struct{ Link string } }
		}
	}
	p.insist("POST", "/x/group/create", bearer(c.people[0].logins[speaks].token), map[string]string{"name": "group"}, &made)
	c.group.id, c.group.link = made.Data.RoomID, made.Data.Group.R.Link
	p.insist("POST", "/x/group/join/"+c.group.id, bearer(c.people[1].logins[speaks].token), map[string]string{"link": c.group.link}, nil)
}

// carrier has somebody pass things on to another by relay, or to a group.
func (w *world) carrier(name string, me *person, where map[string]any, l *ledger, gates ...*gate) {
	s := w.speaker(name, l)
	s.gates = gates
	s.connect = func(p *party) (*socket, error) {
		return p.upgrade("/socket?id=" + url.QueryEscape(me.logins[speaks].socket))
	}
	s.say = func(ref, text string) any {
		frame := map[string]any{"type": "sim", "identifier": "kirimin", "ref": ref, "text": text}
		for name, v := range where {
			frame[name] = v
		}
		return frame
	}
	s.hear = hearRelay
}
