package load

import (
	"sync"
	"time"
)

// attended runs a phase, and tells about it once a second and at its end.
func (r *run) attended(p Phase, phase func() error) error {
	if r.o.Progress == nil {
		return phase()
	}
	done := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		since, told := r.glance(), false
		for {
			select {
			case <-tick.C:
				now := r.glance()
				r.o.Progress(r.between(p, since, now))
				since, told = now, true
			case <-done:
				if told && p != Loading { // of which a part of a second says nothing
					r.o.Progress(r.between(p, since, r.glance()))
				}
				return
			}
		}
	})
	err := phase()
	close(done)
	telling.Wait()
	return err
}

// glance is what the counters say at one moment.
type glance struct {
	at          time.Duration
	sent, heard int64
	lately      *counted
}

func (r *run) glance() glance {
	return glance{r.now(), r.tally.sent.Load(), r.tally.delivered.Load(), r.tally.lately.read()}
}

func (r *run) between(p Phase, a, b glance) Progress {
	took := (b.at - a.at).Seconds()
	times := b.lately.since(a.lately)
	t := r.tally
	out := Progress{
		Phase: p, Doing: *r.stage.what.Load(), Done: int(r.stage.done.Load()), Total: int(r.stage.total.Load()), Connected: int(t.here.Load()),
		Sent: float64(b.sent-a.sent) / took, Received: float64(b.heard-a.heard) / took,
		P50: times.at(0.5), P99: times.at(0.99), Errors: t.troubles(),
	}
	if p == Connecting {
		out.Doing, out.Done, out.Total = "connecting", int(t.joined.Load()), len(r.more)+len(r.counted)
	}
	if p == Loading {
		out.Elapsed = b.at - r.began
	}
	return out
}
