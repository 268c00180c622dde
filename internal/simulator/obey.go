package simulator

import (
	"errors"
	"net/url"
	"sync"
	"time"
)

// within is how soon a socket ends after what it rests on, with what the wires
// take.
const within = time.Second + 50*time.Millisecond

// resting is a socket that rests on something that will end.
type resting struct {
	name string
	open func(p *party) (*socket, error)
}

// mortal opens sockets that rest on one thing, ends that at some time, and sees
// to it that they end, and that no other is let in.
func (w *world) mortal(name string, end func(p *party) error, all ...resting) {
	p := w.party(name)
	w.actors = append(w.actors, func() {
		var mu sync.Mutex
		ended := map[*socket]time.Time{} // guarded by mu
		opened := map[*socket]string{}
		var reading sync.WaitGroup
		at := time.Now().Add(p.between(time.Second, roughTime))
		for _, r := range all {
			s, err := r.open(p)
			if err != nil {
				continue // the server is away
			}
			opened[s] = r.name
			reading.Go(func() {
				var err error
				for err == nil {
					_, err = s.next()
				}
				s.close()
				w.trace.add("%s: %s: %v", name, r.name, err)
				mu.Lock()
				ended[s] = time.Now()
				mu.Unlock()
			})
		}
		defer reading.Wait()
		defer func() {
			for s := range opened {
				s.close()
			}
		}()
		if !w.pause(time.Until(at)) {
			return
		}
		for err := end(p); err != nil; err = end(p) {
			var no *refused
			if errors.As(err, &no) && !no.passing() {
				break // it went well before, and the answer was lost
			}
			if !w.pause(p.between(0, 500*time.Millisecond)) {
				return
			}
		}
		over := time.Now()
		w.trace.add("%s: ended", name)
		if !w.pause(within + time.Second) {
			return
		}
		mu.Lock()
		for s, what := range opened {
			if t, is := ended[s]; !is {
				w.fail(obedient, "%s: the socket at %s lives on after %v", name, what, time.Since(over))
			} else if late := t.Sub(over); late > within {
				w.fail(obedient, "%s: the socket at %s ended only after %v", name, what, late)
			}
		}
		mu.Unlock()
		for { // and it stays so, whatever happens to the server
			for _, r := range all {
				s, err := r.open(p)
				if err == nil {
					w.fail(obedient, "%s: a socket at %s was let in %v after the end", name, r.name, time.Since(over))
					s.close()
				}
			}
			if !w.pause(p.between(time.Second, 4*time.Second)) {
				return
			}
		}
	})
}

// populateMortals has a login logged out, and a token replaced.
func (w *world) populateMortals() {
	c := &w.template.cast
	for i, path := range []string{"/api/logout", "/x/auth/logout"} {
		l := c.people[i].logins[goes]
		w.mortal("leaver-"+c.people[i].name,
			func(p *party) error { return p.call("POST", path, bearer(l.token), nil, nil) },
			resting{"direct", func(p *party) (*socket, error) { return p.code(l.token, "") }},
			resting{"relay", func(p *party) (*socket, error) { return p.upgrade("/?id=" + url.QueryEscape(l.socket)) }},
			resting{"feed", func(p *party) (*socket, error) { return p.upgrade("/websocket", bearer(l.token)...) }},
		)
	}
	w.mortal("replacer",
		func(p *party) error {
			return p.call("PUT", "/instance/refreshToken/vain", c.admin, map[string]string{"oldToken": c.vain}, nil)
		},
		resting{"events", func(p *party) (*socket, error) {
			return p.upgrade("/ws/events?event=*&token=" + url.QueryEscape(c.vain))
		}},
		resting{"events (SSE)", func(p *party) (*socket, error) {
			return p.upgrade("/ws/events?event=*&token="+url.QueryEscape(c.vain), "Accept", "text/event-stream")
		}},
	)
}

// populateStrangers asks for what cannot be served.
func (w *world) populateStrangers() {
	c := &w.template.cast
	p := w.party("stranger")
	w.actors = append(w.actors, func() {
		for w.pause(p.between(500*time.Millisecond, 3*time.Second)) {
			for reason, after := range map[string]string{"ahead": "100000", "epoch": "zzzzzzzz:1"} {
				for _, path := range []string{
					"/ws/events?event=*&token=" + url.QueryEscape(c.token) + "&after=",
					"/websocket?format=json&after=",
					"/?id=" + url.QueryEscape(c.people[0].logins[spare].socket) + "&after=",
				} {
					s, err := p.upgrade(path + after)
					var no *refused
					switch {
					case err == nil:
						w.fail(wholePast, "%s%s was let in", path, after)
						s.close()
					case errors.As(err, &no) && !no.passing() && !no.gone(reason):
						w.fail(wholePast, "%s%s was refused by %v, and not for %q", path, after, err, reason)
					}
				}
			}
		}
	})
}
