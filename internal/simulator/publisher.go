package simulator

import (
	"errors"
	"fmt"
	"time"
)

// place is where something stands, as its acknowledgement has it.
type place struct {
	id  string
	seq uint64
}

// poster says things by HTTP, one after another, each under a key until it is
// acknowledged, and now and then once more.
func (w *world) poster(name string, l *ledger, most int, say func(p *party, key string, texts []string) ([]place, error)) {
	p := w.party(name)
	w.actors = append(w.actors, func() {
		for n := 1; !w.isCalm(); {
			texts := make([]string, 1+p.random.IntN(most))
			for i := range texts {
				texts[i] = fmt.Sprintf("%s-%d", name, n)
				l.says(texts[i])
				n++
			}
			tries := 1
			if p.chance(5) {
				tries = 2
			}
			for range tries {
				if !p.post(l, texts, say) {
					return
				}
			}
			if !w.pause(p.between(0, 500*time.Millisecond)) {
				return
			}
		}
	})
}

func (p *party) post(l *ledger, texts []string, say func(p *party, key string, texts []string) ([]place, error)) bool {
	for {
		p.manner = plain
		if !p.w.isCalm() && p.chance(30) {
			p.manner.delay = 400 * time.Millisecond
		}
		places, err := say(p, texts[0], texts)
		var no *refused
		switch {
		case err == nil && len(places) != len(texts):
			p.w.fail(other, "%s said %d things, and %d were acknowledged", p.name, len(texts), len(places))
			return false
		case err == nil:
			for i, at := range places {
				l.ack(texts[i], at.id, at.seq)
			}
			return true
		case errors.As(err, &no) && !no.passing():
			p.w.fail(other, "%s was refused: %v", p.name, err)
			return false
		}
		p.w.trace.add("%s: %s: %v", p.name, texts[0], err)
		if !p.w.pause(p.between(0, time.Second)) {
			return false
		}
	}
}
