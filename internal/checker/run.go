package checker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

// The longest that a part of a run may take without getting anywhere.
const (
	setupTime    = time.Minute
	progressTime = 20 * time.Second // from a start to the first acknowledgement
	insistTime   = 30 * time.Second // for the last acknowledgements
	quietTime    = 10 * time.Second // without a message, though some are missing
	lostTime     = 2 * time.Second  // the same, where it is known already that something is wrong
	settleTime   = 300 * time.Millisecond
)

// Run checks a server. The error says why the run could not be made; what was
// found is in the report, see Report.Err.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	folder, temporary := o.Folder, o.Folder == ""
	if temporary {
		var err error
		if folder, err = os.MkdirTemp("", "kabar-checker-"); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	r := &run{o: &o, began: time.Now(), struck: map[string]int{}, random: rand.New(rand.NewPCG(o.Seed, 0))}
	var err error
	if r.server, err = newServer(ctx, &o, folder); err != nil {
		return nil, err
	}
	defer r.server.close()
	k := newKit(&o, r.server)
	for _, name := range o.Gateways {
		switch name {
		case "direct":
			r.gateways = append(r.gateways, newDirect(k))
		case "feed":
			r.gateways = append(r.gateways, newFeed(k))
		case "events":
			r.gateways = append(r.gateways, newEvents(k))
		case "relay":
			r.gateways = append(r.gateways, newRelay(k))
		case "bot":
			r.gateways = append(r.gateways, newBot(k))
		case "webhooks":
			r.gateways = append(r.gateways, newWebhooks(k))
		}
	}
	err = r.all(ctx)
	r.server.close()
	report := r.report(err == nil)
	switch {
	case !temporary:
	case err == nil && report.Err() == nil:
		err = os.RemoveAll(folder)
	default:
		r.say("data and log are kept in %s", folder)
	}
	return report, err
}

// run is one run. It is owned by the goroutine that called Run.
type run struct {
	// static
	o        *Options
	server   *server
	gateways []gateway
	random   *rand.Rand
	began    time.Time

	struck map[string]int // by trouble: how often
	early  int
	// The publishers, once they are at work.
	stop  chan struct{}
	idle  chan struct{} // closed when every publisher has ended
	abort context.CancelFunc
}

func (r *run) say(format string, args ...any) {
	_, _ = fmt.Fprintf(r.o.Log, "%6.1f s  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

func (r *run) all(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() {
		for _, g := range r.gateways {
			g.close()
		}
	}()
	if err := r.setup(ctx); err != nil {
		return err
	}
	receiving, stopReceiving := context.WithCancel(ctx)
	received, err := r.receive(receiving)
	defer func() {
		stopReceiving()
		received.Wait()
	}()
	if err != nil {
		return err
	}
	r.publish(ctx)
	defer func() {
		r.abort()
		<-r.idle
	}()
	for !r.enough() {
		if err := r.strike(ctx); err != nil {
			return err
		}
	}
	if err := r.breathe(ctx); err != nil {
		return err
	}
	if err := r.finish(ctx); err != nil {
		return err
	}
	// Everybody is still connected: that must not keep the server.
	if err := r.server.stop(); err != nil {
		return err
	}
	stopReceiving()
	received.Wait()
	return r.history(ctx)
}

// enough says whether there was trouble enough, and each gateway acknowledged
// what it was to. One that did goes easy, for the others' sake.
func (r *run) enough() bool {
	n := r.struck[kill] + r.struck[power]
	if !r.o.has(kill) && !r.o.has(power) {
		for _, times := range r.struck {
			n += times
		}
	}
	all := n >= r.o.Kills
	for _, g := range r.gateways {
		full := g.said().count() >= r.o.Messages
		g.said().found.full.Store(full && r.o.Messages > 0)
		all = all && full
	}
	return all
}

// setup makes the accounts, and stops and starts the server in peace.
func (r *run) setup(ctx context.Context) error {
	r.say("seed %d: %d times of %v, %d messages at least, through %v", r.o.Seed, r.o.Kills, r.o.Troubles, r.o.Messages, r.o.Gateways)
	if err := r.server.up(ctx); err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, setupTime)
	defer cancel()
	for _, g := range r.gateways {
		if err := g.setup(short); err != nil {
			return fmt.Errorf("%s: what is needed cannot be made: %w", g.said().found.name, err)
		}
		g.prepare()
	}
	if err := r.server.stop(); err != nil {
		return err
	}
	return r.server.up(ctx)
}

// receive connects every receiver.
func (r *run) receive(ctx context.Context) (*sync.WaitGroup, error) {
	var group sync.WaitGroup
	late := time.After(progressTime)
	for _, g := range r.gateways {
		for _, rec := range g.said().receivers {
			group.Go(func() { rec.run(ctx) })
		}
	}
	for _, g := range r.gateways {
		for _, rec := range g.said().receivers {
			for ready := false; !ready; {
				select {
				case <-rec.ready:
					ready = true
				case <-late:
					return &group, fmt.Errorf("%s was not connected within %v", rec.name, progressTime)
				case <-ctx.Done():
					return &group, ctx.Err()
				case <-time.After(20 * time.Millisecond):
					ready = rec.ended() // it was refused, which is in the report
				}
			}
		}
	}
	return &group, nil
}

// publish sets the publishers to work.
func (r *run) publish(ctx context.Context) {
	ctx, r.abort = context.WithCancel(ctx)
	r.stop, r.idle = make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	n := 0
	for _, g := range r.gateways {
		for _, p := range g.said().publishers {
			n++
			group.Go(func() { p(ctx, r.stop) })
		}
	}
	go func() {
		group.Wait()
		close(r.idle)
	}()
	r.say("%d publishers are at work", n)
}

// breathe waits until every gateway has acknowledged something, and a random
// time has gone by.
func (r *run) breathe(ctx context.Context) error {
	before := map[gateway]int{}
	for _, g := range r.gateways {
		before[g] = g.said().count()
	}
	late := time.After(progressTime)
	least := time.After(r.o.Least + time.Duration(r.random.Int64N(int64(r.o.Most-r.o.Least)+1)))
	for waited := false; ; {
		still := ""
		for _, g := range r.gateways {
			if g.said().count() == before[g] {
				still = g.said().found.name
			}
		}
		if waited && still == "" {
			return nil
		}
		select {
		case <-least:
			waited, least = true, nil
		case <-late:
			return fmt.Errorf("%s acknowledged nothing for %v; the server's log ends with:\n%s", still, progressTime, r.server.tail())
		case <-r.server.exited:
			return r.server.died("under load")
		case <-r.idle:
			return errors.New("every publisher has given up, which the report explains")
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// finish lets the publishers get their last answers, and the receivers catch
// up.
func (r *run) finish(ctx context.Context) error {
	close(r.stop)
	select {
	case <-r.idle:
	case <-time.After(insistTime):
		return fmt.Errorf("the last messages were not acknowledged within %v; the server's log ends with:\n%s", insistTime, r.server.tail())
	case <-r.server.exited:
		return r.server.died("while the last messages were waited for")
	case <-ctx.Done():
		return ctx.Err()
	}
	missing := func() int {
		n := 0
		for _, g := range r.gateways {
			n += g.said().missing()
		}
		return n
	}
	for _, g := range r.gateways {
		for _, rec := range g.said().receivers {
			rec.hurry.Store(true)
		}
	}
	r.say("publishers are done; %d deliveries are still to come", missing())
	catchUp(ctx, missing, r.patience)
	pause(ctx, settleTime) // for what comes once too often
	return ctx.Err()
}

// patience is how long to wait for what is missing: as long as is worth it for
// the gateway with the most of it, or where all is lost for none.
func (r *run) patience() time.Duration {
	d := lostTime
	for _, g := range r.gateways {
		if g.said().missing() > 0 {
			d = max(d, g.said().patience())
		}
	}
	return d
}

// catchUp waits while there is something missing and it becomes less.
func catchUp(ctx context.Context, missing func() int, patience func() time.Duration) {
	least, since := missing(), time.Now()
	for least > 0 && time.Since(since) < patience() && pause(ctx, 50*time.Millisecond) {
		if n := missing(); n < least {
			least, since = n, time.Now()
		}
	}
}

// history starts the server once more, and reads what it kept.
func (r *run) history(ctx context.Context) error {
	if err := r.server.up(ctx); err != nil {
		return err
	}
	err := together(r.gateways, func(g gateway) error {
		if err := g.history(ctx); err != nil {
			return fmt.Errorf("%s: the history cannot be read: %w", g.said().found.name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.say("the history is read")
	return r.server.stop()
}

// together does one thing with all of them at the same time.
func together[T any](all []T, do func(T) error) error {
	var group sync.WaitGroup
	errs := make([]error, len(all))
	for i, one := range all {
		group.Go(func() { errs[i] = do(one) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// report says what came of it. What is missing counts only where the run came
// to its end.
func (r *run) report(whole bool) *Report {
	rep := &Report{
		Seed: r.o.Seed, Kills: r.struck[kill] + r.struck[power], Early: r.early, Struck: r.struck, Starts: int(r.server.starts.Load()), Slowest: r.server.slowest,
		Elapsed: time.Since(r.began),
	}
	for _, g := range r.gateways {
		rep.Gateways = append(rep.Gateways, g.said().report(whole))
	}
	return rep
}
