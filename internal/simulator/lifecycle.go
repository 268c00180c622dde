package simulator

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"
)

// noted is how long it takes at the most until everybody who is not there is
// said to have gone, when nothing is disturbed any more: the server starts,
// finds wires that do not answer, misses who does not come back and waits until
// they have settled, as cmd/kabar sets these times for its runs.
const noted = 15 * time.Second

// visits are those who come and go, and what the server says about it.
type visits struct {
	w *world

	mu     sync.Mutex
	here   map[string]bool // guarded by mu: who is, as it was heard
	tries  map[string]int  // guarded by mu: how often somebody wanted a session; by its subject
	going  int             // guarded by mu: visitors who have not gone for good
	calmed time.Time       // guarded by mu
	byes   map[string]bool // guarded by mu: the reasons that sessions were closed with; true: it must be said
}

// about is a lifecycle event in words. People here say one word, so nobody can
// have said it.
func about(f *frame) string {
	if f.Data.Subject == "" {
		return ""
	}
	return fmt.Sprintf("%s %d %s %s", f.Data.Subject, f.Data.Number, f.Event, f.Data.Reason)
}

// change reads what about wrote.
func change(text string) (subject string, number uint64, event, reason string) {
	_, _ = fmt.Sscan(text, &subject, &number, &event, &reason) // not every event has a reason
	return subject, number, event, reason
}

// populateLifecycle has people come and go, some of them for good while the
// server falls over.
func (w *world) populateLifecycle() {
	v := &visits{w: w, here: map[string]bool{}, byes: map[string]bool{}, tries: map[string]int{}}
	l := w.ledger("instance-" + lifecycleInstance)
	path := "/ws/events?event=*&epoch=1&token=" + url.QueryEscape(w.template.cast.watch) + "&after="
	r := w.receiver(l, l.name+"-rough")
	r.exact = true
	r.connect = func(r *receiver) (*socket, error) { return r.upgrade(path + r.position()) }
	r.decode = func(r *receiver, b []byte) (heard, bool) {
		h, ok := decode(r, b)
		if subject, _, event, _ := change(h.text); strings.HasPrefix(event, "user.") {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.here[subject] = event == "user.online"
		}
		return h, ok
	}
	l.truth = l.truthBy(r.connect)
	w.owed = append(w.owed, v.missing)
	w.audits = append(w.audits, func() { v.audit(l) })
	w.whenCalm(func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.calmed = time.Now()
	})
	for i := range w.template.cast.guests {
		who := &w.template.cast.guests[i]
		stays := w.party("stay of "+who.name).between(time.Second, 2*roughTime)
		for n := range who.logins {
			v.visitor(who, n, stays)
		}
	}
}

// visitor comes and goes on a device: until the server is left alone, and then
// once more, or not so long.
func (v *visits) visitor(who *person, device int, stays time.Duration) {
	p := v.w.party(fmt.Sprint("visitor-", who.name, "-", device))
	v.going++
	v.w.actors = append(v.w.actors, func() {
		defer func() {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.going--
		}()
		until := time.Now().Add(min(stays, roughTime))
		for n, last := 1, false; !last; n++ {
			if !v.w.pause(p.between(0, 3*time.Second)) {
				return
			}
			calm := v.w.isCalm()
			if stays < roughTime && time.Now().After(until) {
				return
			}
			v.mu.Lock()
			v.tries[fmt.Sprintf("user/%d/sessions", who.id)]++
			v.mu.Unlock()
			s, err := p.code(who.logins[device].token, "")
			if err != nil {
				continue
			}
			err = v.visit(p, s, who, calm, fmt.Sprint(p.name, "-", n))
			v.w.trace.add("%s: visit %d: %v", p.name, n, err)
			last = calm && errors.Is(err, errBye)
		}
	})
}

// errBye is how a visit ends that nothing disturbed.
var errBye = errors.New("bye")

// visit is one of them. The last ends when it was heard that it is one.
func (v *visits) visit(p *party, s *socket, who *person, calm bool, bye string) error {
	ended := make(chan error, 1)
	go func() {
		var err error
		for err == nil {
			_, err = s.next()
		}
		ended <- err
	}()
	defer s.close()
	if !calm {
		defer p.disturb(s)()
	}
	stay := time.NewTimer(p.between(0, 3*time.Second))
	defer stay.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-v.w.over:
			s.close()
			return <-ended
		case <-stay.C:
		}
		if !calm || v.isHere(who) {
			break
		}
		stay.Reset(100 * time.Millisecond)
	}
	v.mu.Lock()
	v.byes[bye] = calm
	v.mu.Unlock()
	if err := s.send(opClose, append(binary.BigEndian.AppendUint16(nil, 4000), bye...)); err != nil {
		return err
	}
	var answered *closed
	if err := <-ended; !errors.As(err, &answered) {
		return err
	}
	return errBye
}

func (v *visits) isHere(who *person) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.here[fmt.Sprint("user/", who.id)]
}

// missing is who has still to go, and who is still to be said to have gone.
func (v *visits) missing() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := v.going
	if v.calmed.IsZero() || time.Since(v.calmed) < noted {
		n++
	}
	for i := range v.w.template.cast.guests {
		if v.here[fmt.Sprint("user/", v.w.template.cast.guests[i].id)] {
			n++
		}
	}
	return n
}

// audit sees to it that the events of each subject are numbered without a hole,
// that who came went before they came again, and that all guests have gone.
func (v *visits) audit(l *ledger) {
	all, _, ok := l.truth()
	if !ok {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.going > 0 {
		v.w.fail(other, "%d visitors came, and nobody says so", v.going)
	}
	numbers, up, byes := map[string]uint64{}, map[string]bool{}, map[string]int{}
	for _, h := range all {
		subject, number, event, reason := change(h.text)
		if number != numbers[subject]+1 {
			v.w.fail(other, "%s at %d: number %d of %s follows %d", event, h.seq, number, subject, numbers[subject])
		}
		numbers[subject] = number
		if event == "session.closed" {
			byes[reason]++
			continue
		}
		came := event == "user.online" || event == "topic.occupied"
		if up[subject] == came {
			v.w.fail(other, "%s at %d: %s is said to be so for the second time", event, h.seq, subject)
		}
		up[subject] = came
	}
	for i := range v.w.template.cast.guests {
		if subject := fmt.Sprint("user/", v.w.template.cast.guests[i].id); up[subject] {
			v.w.fail(other, "%s has gone, and nobody says so", subject)
		}
	}
	for subject, n := range v.tries {
		if closed := numbers[subject]; closed > uint64(n) {
			v.w.fail(other, "%s: %d sessions at the most, and %d were closed", subject, n, closed)
		}
	}
	for bye, sure := range v.byes {
		if n := byes[bye]; n > 1 || n == 0 && sure {
			v.w.fail(other, "that a session was closed with %q is said %d times", bye, n)
		}
	}
}
