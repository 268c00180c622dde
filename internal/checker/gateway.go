package checker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// gateway is a dialect's side of a run.
type gateway interface {
	setup(ctx context.Context) error   // makes what it needs, through the server's own routes
	prepare()                          // makes publishers and receivers
	said() *cast                       // who they are
	history(ctx context.Context) error // reads what is kept, as one more receiver of each ledger
	close()
}

// cast is who takes part in a gateway.
type cast struct {
	found      *findings
	ledgers    []*ledger
	receivers  []*receiver
	publishers []publisher
	slack      func() time.Duration // how much longer something may be missing, nil for none
	note       func() string        // what else there is to report, nil for nothing
}

// publisher says things until stop is closed, and then insists on what was not
// acknowledged yet until ctx ends.
type publisher func(ctx context.Context, stop <-chan struct{})

func (c *cast) count() int {
	n := 0
	for _, l := range c.ledgers {
		n += l.count()
	}
	return n
}

func (c *cast) missing() int {
	n := 0
	for _, l := range c.ledgers {
		n += l.missing()
	}
	return n
}

// patience is how long to wait for what is missing.
func (c *cast) patience() time.Duration {
	d := quietTime
	if c.found.any() {
		d = lostTime
	}
	if c.slack != nil && c.missing() > 0 {
		d += c.slack()
	}
	return d
}

func (c *cast) report(whole bool) GatewayReport {
	g := GatewayReport{Name: c.found.name}
	for _, l := range c.ledgers {
		g.Acked += l.count()
		g.Receivers += len(l.records)
		if whole {
			g.Delivered += l.reconcile()
		}
	}
	for _, r := range c.receivers {
		g.Resumes += int(r.resumes.Load())
	}
	g.Found, g.Examples = c.found.found, c.found.examples
	if c.note != nil {
		g.Note = c.note()
	}
	return g
}

// kit is what every gateway is made with.
type kit struct {
	o      *Options
	base   string // http://host:port
	key    string // the administrator's
	random func() *rand.Rand
	life   func() int       // how often the server was started, or went on after it was stopped
	now    func() time.Time // as far as the server lived through it
	clock  *clock           // the server's
}

func newKit(o *Options, s *server) *kit {
	var mu sync.Mutex
	n := uint64(0)
	return &kit{o: o, base: "http://" + s.address, key: s.key, now: s.now, clock: s.clock, life: func() int { return int(s.starts.Load() + s.stills.times.Load()) }, random: func() *rand.Rand {
		mu.Lock()
		defer mu.Unlock()
		n++
		return rand.New(rand.NewPCG(o.Seed, n))
	}}
}

func (k *kit) receiver(rec *record, m manner, open func(ctx context.Context) (source, error)) *receiver {
	return &receiver{record: rec, manner: m, random: k.random(), open: open, ready: make(chan struct{})}
}

// post is how a publisher over HTTP says items: the same key with the same
// items, until they are acknowledged.
type post struct {
	found  *findings
	acked  func(i item, a ack)
	number int // the publisher's
	size   func(r *rand.Rand) int
	say    func(ctx context.Context, key string, items []item) ([]ack, error)
	pause  time.Duration // at least, between two posts
	once   bool          // the route takes no key: what was not answered is left as it is
}

// publisher makes it one: it says its items one post after another, because
// nothing keeps two posts at once in order.
func (p post) publisher(k *kit) publisher {
	random := k.random()
	return func(ctx context.Context, stop <-chan struct{}) {
		for n := 1; ctx.Err() == nil; {
			select {
			case <-stop:
				return
			default:
			}
			items := make([]item, p.size(random))
			for i := range items {
				items[i] = item{p.number, n + i}
			}
			if err := p.insist(ctx, fmt.Sprintf("checker-%d-%d", p.number, n), items); err != nil {
				p.found.add(Other, "publisher %d cannot go on: %v", p.number, err)
				return
			}
			n += len(items)
			if !p.once && random.IntN(50) == 0 { // now and then once more: nothing may come of it
				if err := p.insist(ctx, fmt.Sprintf("checker-%d-%d", p.number, n-len(items)), items); err != nil {
					p.found.add(Other, "publisher %d was refused when it said the same again: %v", p.number, err)
				}
			}
			pause(ctx, max(p.pause, k.o.Pause, p.found.rest()))
		}
	}
}

func (p post) insist(ctx context.Context, key string, items []item) error {
	for {
		acks, err := p.say(ctx, key, items)
		var no *refused
		switch {
		case err == nil && len(acks) != len(items):
			return fmt.Errorf("%d acknowledged of %d", len(acks), len(items))
		case err == nil:
			for i, a := range acks {
				p.acked(items[i], a)
			}
			return nil
		case errors.As(err, &no):
			return err
		case p.once:
			p.found.move(items) // it may still be done
			pause(ctx, 20*time.Millisecond)
			return nil
		case !pause(ctx, 20*time.Millisecond):
			return nil // the run ends: whether it was stored is not known
		}
	}
}
