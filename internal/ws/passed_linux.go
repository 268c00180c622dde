//go:build linux && (amd64 || arm64)

package ws

import "sync"

// passed are connections that are ours to read, and whose pass is for somebody
// else than who found that out: that one holds locks, or has others to read.
type passed struct {
	mu     sync.Mutex
	conns  []*Conn // guarded by mu
	takers int     // guarded by mu: goroutines that take them
}

// takeUp goes on with a connection elsewhere. Where too many already do, it waits
// for one of them.
func (p *poller) takeUp(c *Conn) {
	p.passed.mu.Lock()
	defer p.passed.mu.Unlock()
	p.passed.conns = append(p.passed.conns, c)
	if p.passed.takers < maxWorkers {
		p.passed.takers++
		p.srv.wg.Add(1)
		go p.takeAll()
	}
}

// takeAll goes on with one after another, while there are any.
func (p *poller) takeAll() {
	defer p.srv.wg.Done()
	t := takeTurn(nil)
	defer t.release()
	for c := p.passed.next(); c != nil; c = p.passed.next() {
		p.pass(c, t)
	}
}

// next is the one that has waited longest, nil for none: then there is a taker less.
func (q *passed) next() (c *Conn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.conns) == 0 {
		q.conns = nil
		q.takers--
		return nil
	}
	c = q.conns[0]
	q.conns[0] = nil
	q.conns = q.conns[1:]
	return c
}
