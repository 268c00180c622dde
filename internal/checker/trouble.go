package checker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Troubles are what can befall a server.
var Troubles = []string{kill, deploy, still, clockStep, receivers, power, diskFull}

const (
	kill      = "kill"      // SIGKILL, and another start
	deploy    = "deploy"    // SIGTERM, and another start
	still     = "stop"      // SIGSTOP, and SIGCONT later
	clockStep = "clock"     // the clock jumps, forward or back
	receivers = "receivers" // all that it calls fails at once
	power     = "power"     // the power is cut: what was not synced is lost
	diskFull  = "disk"      // the disk is full for a while
)

// The bounds of troubles.
const (
	stillLong = 15 * time.Second // the longest stop; less than what anybody waits for an answer
	clockMost = 72 * time.Hour   // how wrong a clock may go
	diskFelt  = 20 * time.Second // how long a full disk may go on with what room the database has
	diskLong  = 4 * time.Second  // and for how long it is full when that is used up
)

func (o *Options) has(trouble string) bool { return slices.Contains(o.Troubles, trouble) }

// needsRig says whether the server needs a disk of its own.
func (o *Options) needsRig() bool { return o.has(power) || o.has(diskFull) }

// choose is what comes next: a kill every other time, where there are kills.
func (r *run) choose() string {
	others := slices.DeleteFunc(slices.Clone(r.o.Troubles), func(t string) bool { return t == kill })
	switch {
	case len(others) == 0 || r.o.has(kill) && r.random.IntN(2) == 0:
		return kill
	default:
		return others[r.random.IntN(len(others))]
	}
}

// strike waits for a random moment, and lets something befall the server.
func (r *run) strike(ctx context.Context) error {
	if err := r.breathe(ctx); err != nil {
		return err
	}
	what := r.choose()
	words, err := map[string]func(context.Context) (string, error){
		kill: r.kill, deploy: r.deploy, still: r.still, clockStep: r.clockStep,
		receivers: r.receivers, power: r.power, diskFull: r.diskFull,
	}[what](ctx)
	if err != nil {
		return fmt.Errorf("trouble %s: %w", what, err)
	}
	r.struck[what]++
	acked := ""
	for _, g := range r.gateways {
		acked += fmt.Sprintf(", %s %d", g.said().found.name, g.said().count())
	}
	r.say("%s %d: %s; acknowledged so far%s", what, r.struck[what], words, acked)
	return nil
}

// between is a random time.
func (r *run) between(least, most time.Duration) time.Duration {
	return least + time.Duration(r.random.Int64N(int64(most-least)+1))
}

func (r *run) up(ctx context.Context) (string, error) {
	at := time.Now()
	err := r.server.up(ctx)
	return fmt.Sprintf("ready again after %v", time.Since(at).Round(time.Millisecond)), err
}

func (r *run) kill(ctx context.Context) (string, error) {
	if err := r.server.kill(); err != nil {
		return "", err
	}
	pause(ctx, r.between(0, 150*time.Millisecond))
	if r.random.IntN(3) == 0 { // and once more, while it finds its way
		if err := r.server.start(); err != nil {
			return "", err
		}
		pause(ctx, r.between(0, 80*time.Millisecond))
		if err := r.server.kill(); err != nil {
			return "", err
		}
		r.early++
	}
	return r.up(ctx)
}

// deploy is what an operator does: nothing is lost then either, and the server
// ends well, whoever is connected and whatever is under way.
func (r *run) deploy(ctx context.Context) (string, error) {
	at := time.Now()
	if err := r.server.stop(); err != nil {
		return "", err
	}
	took := time.Since(at).Round(time.Millisecond)
	words, err := r.up(ctx)
	return fmt.Sprintf("it ended after %v, %s", took, words), err
}

// still stops the server's every thread, as a machine does that is moved or out
// of memory.
func (r *run) still(ctx context.Context) (string, error) {
	d := r.between(100*time.Millisecond, 3*time.Second)
	if r.o.long() && r.random.IntN(4) == 0 {
		d = r.between(3*time.Second, stillLong)
	}
	if err := r.server.signal(syscall.SIGSTOP); err != nil {
		return "", err
	}
	r.server.freeze(true)
	pause(ctx, d)
	r.server.freeze(false)
	return fmt.Sprintf("for %v", d.Round(time.Millisecond)), r.server.signal(syscall.SIGCONT)
}

func (r *run) clockStep(context.Context) (string, error) {
	d := r.between(time.Minute, time.Hour)
	if r.random.IntN(3) == 0 {
		d = r.between(time.Hour, clockMost)
	}
	if off := r.server.clock.off(); off > 0 && (r.random.IntN(3) > 0 || off+d > clockMost) || off-d >= -clockMost && r.random.IntN(2) == 0 {
		d = -d
	}
	err := r.server.clock.step(d.Truncate(time.Second))
	return fmt.Sprintf("by %v, it is off by %v", d.Truncate(time.Second), r.server.clock.off()), err
}

func (r *run) receivers(context.Context) (string, error) {
	var hit []string
	for _, g := range r.gateways {
		if f, ok := g.(interface{ fail(n int) int }); ok {
			if n := f.fail(r.random.IntN(len(failures))); n > 0 {
				hit = append(hit, fmt.Sprintf("%d of %s", n, g.said().found.name))
			}
		}
	}
	return "failing: " + strings.Join(hit, ", "), nil
}

func (r *run) power(ctx context.Context) (string, error) {
	if err := r.server.kill(); err != nil { // first, or it might notice
		return "", err
	}
	if err := r.server.rig.cut(); err != nil {
		return "", err
	}
	if err := r.server.rig.restore(); err != nil {
		return "", err
	}
	return r.up(ctx)
}

// diskFull fills the disk and makes room again: the server goes on by itself,
// or breathe finds out.
func (r *run) diskFull(ctx context.Context) (string, error) {
	drop, err := r.server.rig.fill()
	if err != nil {
		return "", err
	}
	r.sick(true)
	defer r.sick(false)
	at := time.Now()
	words := "nobody felt it"
	for last, since := r.acked(), at; time.Since(at) < diskFelt && pause(ctx, 20*time.Millisecond); {
		if n := r.acked(); n > last {
			last, since = n, time.Now()
		} else if time.Since(since) > time.Second {
			words = "nothing could be stored in the end"
			pause(ctx, r.between(0, diskLong))
			break
		}
	}
	return fmt.Sprintf("full for %v, and %s", time.Since(at).Round(time.Millisecond), words), drop()
}

// sick notes that nothing can be stored, or can again.
func (r *run) sick(on bool) {
	r.server.freeze(on)
	for _, g := range r.gateways {
		g.said().found.sick.Store(on)
	}
}

// acked is how much is acknowledged in all.
func (r *run) acked() int {
	n := 0
	for _, g := range r.gateways {
		n += g.said().count()
	}
	return n
}
