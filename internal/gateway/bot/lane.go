package bot

import (
	"sync"

	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/status"
)

// executors is how many triggers of one endpoint are carried out at a time. It
// has them for itself: a process that is slow delays its own people.
const executors = 16

// lane is one endpoint's connections, and what is to be carried out for them.
type lane struct {
	g   *Gateway // static
	url string   // static

	holds int // guarded by g.mu: connections, and those that are about to be

	mu       sync.Mutex
	open     map[*socket]struct{} // guarded by mu
	ready    []*socket            // guarded by mu: those with something to run, each once
	running  int                  // guarded by mu: executors
	checking bool                 // guarded by mu: somebody goes through the connections
	again    bool                 // guarded by mu: and is to do so once more
}

// lane is that of an endpoint, held until release.
func (g *Gateway) lane(url string) *lane {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[url]
	if l == nil {
		l = &lane{g: g, url: url, open: map[*socket]struct{}{}}
		g.lanes[url] = l
	}
	l.holds++
	return l
}

func (l *lane) release() {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	if l.holds--; l.holds == 0 {
		delete(l.g.lanes, l.url)
	}
}

func (l *lane) join(s *socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[s] = struct{}{}
}

func (l *lane) leave(s *socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, s)
}

// sockets are those that are connected.
func (l *lane) sockets() []*socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*socket, 0, len(l.open))
	for s := range l.open {
		all = append(all, s)
	}
	return all
}

// add puts a connection behind those that have something to run. It is there
// once: its turn says so.
func (l *lane) add(s *socket) {
	l.mu.Lock()
	l.ready = append(l.ready, s)
	more := l.running < executors
	if more {
		l.running++
	}
	l.mu.Unlock()
	if more && !l.g.start(l.run) {
		l.mu.Lock()
		l.running--
		l.mu.Unlock()
	}
}

// run carries out what is there, and ends.
func (l *lane) run() {
	for {
		l.mu.Lock()
		if len(l.ready) == 0 {
			l.ready = nil
			l.running--
			l.mu.Unlock()
			return
		}
		s := l.ready[0]
		l.ready[0] = nil
		l.ready = l.ready[1:]
		l.mu.Unlock()
		s.step()
	}
}

// changed is called after an endpoint, who may use it, or its process changed
// or went.
func (g *Gateway) changed(url string) {
	g.mu.Lock()
	l := g.lanes[url]
	g.mu.Unlock()
	if l == nil {
		return
	}
	if g.o.Processes.Endpoint(url) == nil {
		for _, s := range l.sockets() {
			s.conn.Close(status.NotFound.Close(), errNoEndpoint.Message)
		}
		return
	}
	l.check()
}

// check looks at every connection again. It does not wait: whoever changes
// something does not stand still for all who are connected.
func (l *lane) check() {
	l.mu.Lock()
	first := !l.checking
	l.checking, l.again = true, true
	l.mu.Unlock()
	if first {
		l.g.start(l.checkAll)
	}
}

func (l *lane) checkAll() {
	for l.once() {
		for _, s := range l.sockets() {
			s.conform()
		}
	}
}

// once says whether the connections are to be gone through once more.
func (l *lane) once() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	again := l.again
	l.again, l.checking = false, again
	return again
}

// allows says whether somebody may use an endpoint; nil is nobody in particular.
func allows(a process.Access, user bool, groups []string) error {
	switch {
	case a.Anonymous:
		return nil
	case !user:
		return errNoToken
	case len(a.Groups) == 0:
		return nil
	}
	for _, g := range a.Groups {
		for _, mine := range groups {
			if g == mine {
				return nil
			}
		}
	}
	return errNotAllowed
}
