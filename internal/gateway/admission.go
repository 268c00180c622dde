package gateway

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"net/textproto"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// The schedule of those who were refused: how soon the first comes back, and
// the last. Whoever comes when it is full comes back at some time in its second
// half, and may be refused again.
const (
	firstPlace = time.Second
	lastPlace  = time.Minute
)

// Admission lets in as many new connections as the server can take well, and
// tells all others when to come back, each at a time of its own. It keeps
// nothing of those that it refuses: a storm costs no memory, and whoever does
// not wait costs a comparison. What the door behind it refuses, for a wrong
// code or a foreign page, uses nothing of the rate.
//
// Of the rate, the schedule gives away four fifths. The rest is for newcomers,
// and for those who come a little late: in a storm, who waits as long as they
// were told is let in then. A nil Admission lets everybody in.
type Admission struct {
	// static
	every  time.Duration // between two that are let in; 0: no rate
	burst  time.Duration // so much of the rate may be used at once
	step   time.Duration // between two places of the schedule
	atOnce int64         // 0: no bound
	now    func() time.Time

	refused atomic.Int64
	inside  atomic.Int64 // being let in at this moment

	upgrades, requests schedule
}

// schedule is the places of those who come for one thing.
type schedule struct {
	mu    sync.Mutex
	used  time.Time     // guarded by mu: until when what was let in uses the rate up
	doors time.Duration // guarded by mu: so much of it who is at the door will use, if let in there
	last  time.Time     // guarded by mu: the last place that was given away
}

// NewAdmission makes an admission of n in per at most, which may come all at
// once, with at most atOnce on their way in. Zero is no bound; with none at all
// it is nil.
func NewAdmission(rate account.Limit, atOnce int) *Admission {
	a := &Admission{atOnce: int64(atOnce), now: time.Now}
	switch {
	case rate.N > 0 && rate.Per > 0:
		a.every, a.burst = max(1, rate.Per/time.Duration(rate.N)), rate.Per
		a.step = a.every + a.every/4 + 1
	case atOnce > 0:
		a.step = time.Second/time.Duration(atOnce) + 1
	default:
		return nil
	}
	return a
}

// Refused is how many were told to come back.
func (a *Admission) Refused() int64 {
	if a == nil {
		return 0
	}
	return a.refused.Load()
}

// BusyError tells somebody to come back.
type BusyError struct {
	After time.Duration
}

func (e *BusyError) Error() string { return errBusy.Message }

// Unwrap makes it known to clients as a 503.
func (e *BusyError) Unwrap() error { return errBusy }

// Seconds is After for a Retry-After header, rounded up.
func (e *BusyError) Seconds() string {
	return strconv.FormatInt(int64((e.After+time.Second-1)/time.Second), 10)
}

// TellWhen says in an answer's head when to come back, where err is about that:
// who came too often after so many seconds.
func TellWhen(w http.ResponseWriter, err error, tooMany string) {
	var busy *BusyError
	switch {
	case errors.As(err, &busy):
		w.Header().Set("Retry-After", busy.Seconds())
	case status.Of(err).Code == status.TooMany:
		w.Header().Set("Retry-After", tooMany)
	}
}

var errBusy = status.Errorf(status.Unavailable, "BUSY", "more people connect at this moment than can be let in; come back after the time that Retry-After names")

// Admit is for what belongs to connecting and is no upgrade: a request for a
// code, or for a stream. They have the same rate once more, which is for those
// who may ask for it: it comes after who they are. The error is a *BusyError.
func (a *Admission) Admit() error {
	if a == nil {
		return nil
	}
	now := a.now()
	if wait := a.ask(&a.requests, now, false); wait > 0 {
		a.refused.Add(1)
		return &BusyError{wait}
	}
	a.settle(&a.requests, now, true)
	return nil
}

// Guard lets upgrades through to accept, within the limits. The others are
// refused before anything was looked at: with 503, Retry-After and what body
// makes of the error in the dialect's words, or, for a page in a browser (see
// Refuse), with 4029 and retry-after-ms.
func (a *Admission) Guard(accept ws.Acceptor, body func(err error) Body) ws.Acceptor {
	if a == nil {
		return accept
	}
	busy := body(errBusy)
	return func(r *ws.Request, c *ws.Conn) (h ws.Handler, limits *ws.Limits, f *ws.Refusal) {
		inside := a.inside.Add(1)
		defer a.inside.Add(-1)
		now := a.now()
		wait := a.ask(&a.upgrades, now, a.atOnce > 0 && inside > a.atOnce)
		if wait == 0 {
			defer func() { a.settle(&a.upgrades, now, h != nil) }()
			return accept(r, c)
		}
		a.refused.Add(1)
		e := &BusyError{wait}
		return nil, nil, &ws.Refusal{
			Status: errBusy.HTTP(), Body: busy.Bytes,
			Header:  textproto.MIMEHeader{"Content-Type": {busy.Type}, "Retry-After": {e.Seconds()}},
			AsClose: closes(r), Code: status.TooMany.Close(), Reason: "retry-after-ms=" + strconv.FormatInt(wait.Milliseconds()+1, 10),
		}
	}
}

// ask is 0 for who may go to the door, which settle ends, and how long to wait
// for who may not: who comes faster than the rate, and everybody while it is
// full.
func (a *Admission) ask(s *schedule, now time.Time, full bool) time.Duration {
	if a.every == 0 && !full {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !full && latest(s.used, now).Sub(now)+s.doors+a.every <= a.burst {
		s.doors += a.every
		return 0
	}
	at := latest(s.last, now.Add(firstPlace)).Add(a.step)
	if at.Sub(now) > lastPlace {
		return lastPlace/2 + rand.N(lastPlace/2) //nolint:gosec // any spread will do
	}
	s.last = at
	return at.Sub(now) + rand.N(a.step) //nolint:gosec // any spread will do
}

// settle says what became of who asked at that time: only who was let in has
// used the rate.
func (a *Admission) settle(s *schedule, asked time.Time, let bool) {
	if a.every == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doors -= a.every
	if let {
		s.used = latest(s.used, asked).Add(a.every)
	}
}

// goodbyes is how long the farewell to one of many takes, and more: nobody is to
// come back before all have gone, and another server is there.
const goodbyes = 100 * time.Microsecond

// Return is when the i-th of n who are all sent away now is to come back: by the
// same schedule as who is refused (at a thousand a second, where there is no
// rate), and if they are few, spread over a second.
func (a *Admission) Return(i, n int) time.Duration {
	step := time.Millisecond
	if a != nil {
		step = a.step
	}
	n = max(n, 1)
	return firstPlace + goodbyes*time.Duration(n) + max(step, time.Second/time.Duration(n))*time.Duration(i)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
