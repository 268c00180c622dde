package process

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

const (
	lookEach = time.Second     // for an instance that is not there yet
	retry    = 2 * time.Second // after what the server could not do
)

// owner owns the position of a process in an instance's topic.
func owner(process string, id uint64) string {
	return "process/" + process + "/" + strconv.FormatUint(id, 10)
}

// heard is a pair that Run follows.
type heard struct{ process, instance string }

// follower is the goroutine that follows a pair; it is owned by Run.
type follower struct {
	stop    context.CancelFunc
	done    chan struct{}
	stopped bool
}

// Run hears the events of the instances that published processes name, until
// ctx ends. Each pair is followed by a goroutine of its own, so that none waits
// for another's.
func (s *Service) Run(ctx context.Context) error {
	following := map[heard]*follower{} // those that were stopped, too, until they are followed again
	var all sync.WaitGroup
	defer all.Wait()
	defer func() {
		for _, f := range following {
			f.stop()
		}
	}()
	for {
		wanted := map[heard]bool{}
		for name, p := range s.live.Load().processes {
			if !p.def.Hears(OnEvent) {
				continue
			}
			for _, i := range p.def.Instances {
				wanted[heard{name, i}] = true
			}
		}
		for h, f := range following {
			if !wanted[h] && !f.stopped {
				f.stop()
				f.stopped = true
			}
		}
		for h := range wanted {
			before := following[h]
			if before != nil && !before.stopped {
				continue
			}
			inner, stop := context.WithCancel(ctx)
			f := &follower{stop: stop, done: make(chan struct{})}
			following[h] = f
			all.Go(func() {
				defer close(f.done)
				if before != nil { // an event is one goroutine's
					<-before.done
				}
				s.follow(inner, h)
			})
		}
		select {
		case <-s.poke:
		case <-ctx.Done():
			return nil
		}
	}
}

// pause waits, and says whether to go on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// follow hears an instance's events for a process, and those of its successors
// in the name, until ctx ends.
func (s *Service) follow(ctx context.Context, h heard) {
	for {
		wait := lookEach
		if i, err := s.o.Instances.Get(ctx, instance.ByName(h.instance)); err == nil {
			if err = s.hear(ctx, h, i); err != nil && ctx.Err() == nil {
				s.o.Log.Warn("a process cannot hear an instance; this is tried again", "process", h.process, "instance", h.instance, "error", err)
				wait = retry
			}
		} else if !errors.Is(err, instance.ErrNotFound) && ctx.Err() == nil {
			s.o.Log.Warn("an instance cannot be looked up; this is tried again", "instance", h.instance, "error", err)
			wait = retry
		}
		if !pause(ctx, wait) {
			return
		}
	}
}

// hear reads an instance's topic on from where the process was, until the
// instance is deleted.
func (s *Service) hear(ctx context.Context, h heard, i instance.Instance) error {
	topic, own := instance.Topic(i.ID), owner(h.process, i.ID)
	seq, known, err := s.o.Acked.Position(ctx, own)
	if err != nil {
		return err
	}
	if p := s.live.Load().processes[h.process]; !known && p != nil && i.Created.Before(p.since.Truncate(time.Millisecond)) {
		if err := s.beginAt(ctx, h.process, i.ID); err != nil {
			return err
		}
		if seq, _, err = s.o.Acked.Position(ctx, own); err != nil {
			return err
		}
	}
	c, err := s.o.Hub.Cursor(ctx, topic, seq)
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		ms, err := c.Next(ctx)
		if errors.Is(err, hub.ErrClosing) {
			<-ctx.Done() // the server goes
			return nil
		}
		if err != nil {
			return err
		}
		for _, m := range ms {
			switch m.Kind {
			case instance.KindDeleted:
				return nil
			case instance.KindEvent:
				if err := s.event(ctx, h, m); err != nil {
					return err
				}
			}
			s.o.Acked.Acked(hub.Acked{Owner: own, Topic: topic, Seq: m.Seq(topic)})
		}
	}
}

// event runs the process on one event. The error is the server's: the event is
// to be tried again; what the process did wrong is over.
func (s *Service) event(ctx context.Context, h heard, m *journal.Message) error {
	p := s.live.Load().processes[h.process]
	if p == nil { // it went meanwhile, and this is about to be stopped
		return ctx.Err()
	}
	s.counts.events.Add(1)
	if m.Hops >= maxHops {
		s.loop(p.name, OnEvent, p.gate)
		return nil
	}
	var d instance.EventData
	if err := json.Unmarshal(m.Data, &d); err != nil {
		s.o.Log.Error("an event cannot be read", "message", m.ID, "error", err)
		return nil
	}
	url := ""
	if p.def.Endpoint != nil {
		url = p.def.Endpoint.URL
	}
	for {
		j := job{
			process: p.name, def: p.def, gate: p.gate, on: OnEvent, hops: int(m.Hops), url: url, key: key(p.name, m.ID),
			env: map[string]any{}, fill: func(env map[string]any) *Bad {
				env["event"] = eventValue(d.Event, d.Instance.Name, d.Data)
				return nil
			},
		}
		_, err := s.perform(ctx, j)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if status.Of(err).Code != status.Unavailable {
			s.failure(ctx, j, err)
			return nil
		}
		if !pause(ctx, retry) {
			return ctx.Err()
		}
	}
}

func eventValue(name, from string, data json.RawMessage) any {
	v, err := decodeJSON(data)
	if err != nil {
		v = nil
	}
	o, err := newObject(map[string]any{"name": name, "instance": from, "data": v})
	if err != nil {
		o = record(map[string]any{"name": name, "instance": from, "data": nil})
	}
	return o
}
