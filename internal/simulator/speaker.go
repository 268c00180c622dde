package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// speaker says things over a socket, several at once, in order. What was not
// acknowledged is said again on the next connection, under the same ref.
type speaker struct {
	*party
	ledgers []*ledger // where what it says is heard
	connect func(p *party) (*socket, error)
	say     func(ref, text string) any
	hear    func(b []byte) answer
	gates   []*gate // what it says must pass
	once    bool    // the dialect has no refs that hold: what was not acknowledged is not said again

	n       int
	pending []string // said and not acknowledged
	lines   []string // everything said on this connection
	last    time.Time
}

// answer is an acknowledgement: by a ref or by the number of a line.
type answer struct {
	ref  string
	line int
	at   place
	err  string // it was refused
	bar  bool   // because of what stands between who says it and who would hear it
}

func (w *world) speaker(name string, ledgers ...*ledger) *speaker {
	s := &speaker{party: w.party(name), ledgers: ledgers}
	w.actors = append(w.actors, s.run)
	return s
}

func (s *speaker) run() {
	for !s.w.isCalm() || len(s.pending) > 0 {
		so, err := s.connect(s.party)
		if err == nil {
			err = s.converse(so)
			so.close()
			if s.once {
				s.pending = nil
			}
		}
		s.w.trace.add("%s: %v, with %d to say again", s.name, err, len(s.pending))
		var no *refused
		if errors.As(err, &no) && !no.passing() {
			s.w.fail(other, "%s was refused: %v", s.name, err)
			return
		}
		if !s.w.pause(s.between(10*time.Millisecond, 600*time.Millisecond)) {
			return
		}
	}
}

var errLate = errors.New("no acknowledgement came")

// converse speaks on one connection.
func (s *speaker) converse(so *socket) error {
	heard, failed := make(chan answer, 64), make(chan error, 1)
	go func() {
		for {
			b, err := so.next()
			if err != nil {
				failed <- err
				return
			}
			if a := s.hear(b); a != (answer{}) {
				heard <- a
			}
		}
	}()
	if !s.w.isCalm() && s.chance(60) {
		defer s.disturb(so)()
	}
	defer func() { // the reader ends, and what it heard counts
		so.close()
		for {
			select {
			case a := <-heard:
				s.take(a)
			case <-failed: //nolint:errcheck // it is told already
				for len(heard) > 0 {
					s.take(<-heard)
				}
				return
			}
		}
	}()
	s.lines, s.last = nil, time.Now()
	for _, text := range s.pending {
		if err := s.tell(so, text); err != nil {
			return err
		}
	}
	for !s.w.isCalm() || len(s.pending) > 0 {
		tick := time.NewTimer(s.between(0, 400*time.Millisecond))
		select {
		case a := <-heard:
			s.take(a)
		case err := <-failed:
			failed <- err
			return err
		case <-s.w.over:
			return nil
		case <-tick.C:
			if len(s.pending) > 0 && time.Since(s.last) > patience {
				return errLate
			}
			if s.w.isCalm() || len(s.pending) >= 3 {
				continue
			}
			s.n++
			text := fmt.Sprintf("%s-%d", s.name, s.n)
			for _, l := range s.ledgers {
				l.says(text, s.gates...)
			}
			if len(s.pending) == 0 {
				s.last = time.Now()
			}
			s.pending = append(s.pending, text)
			if err := s.tell(so, text); err != nil {
				return err
			}
		}
		tick.Stop()
	}
	return nil
}

func (s *speaker) tell(so *socket, text string) error {
	s.lines = append(s.lines, text)
	_ = so.client.SetWriteDeadline(time.Now().Add(patience))
	switch v := s.say(text, text).(type) {
	case string:
		return so.send(opText, []byte(v))
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return so.send(opText, b)
	}
}

// barred is a refusal for good.
func (s *speaker) barred(text string) {
	l := s.ledgers[0]
	l.mu.Lock()
	what := *l.said[text]
	l.mu.Unlock()
	if what.acked = s.w.order.Add(1); what.passage() == passes {
		s.w.fail(other, "%s may not say %q, and nothing stands between", s.name, text)
	}
	s.settle(text)
}

// settle is that something need not be said again.
func (s *speaker) settle(text string) {
	s.last = time.Now()
	s.pending = slices.DeleteFunc(s.pending, func(p string) bool { return p == text })
}

// take is an acknowledgement.
func (s *speaker) take(a answer) {
	text := a.ref
	if a.line > 0 && a.line <= len(s.lines) {
		text = s.lines[a.line-1]
	}
	if a.bar {
		s.barred(text)
		return
	}
	if a.err != "" {
		if !s.w.troubled() {
			s.w.trace.add("%s: %s was refused: %s", s.name, text, a.err)
		}
		return // a server that goes down says so; it is said again
	}
	for i, l := range s.ledgers {
		seq := a.at.seq
		if i > 0 {
			seq = 0 // it is a number of the first
		}
		l.ack(text, a.at.id, seq)
	}
	s.settle(text)
}
