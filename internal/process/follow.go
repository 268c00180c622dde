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

	againWithin = time.Minute // that an event is tried again whose call failed
)

// againAfter is how long an event waits whose call failed, after each of its tries
// but the last one.
var againAfter = []time.Duration{time.Second, 5 * time.Second}

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
			err = s.hear(ctx, h, i)
			if errors.Is(err, journal.ErrExpired) || errors.Is(err, errOnward) { // what it was to hear next went meanwhile
				continue
			}
			if err != nil && ctx.Err() == nil {
				if status.Of(err).Code != status.Unavailable { // of the disk's trouble the log has a line already
					s.o.Log.Warn("a process cannot hear an instance; this is tried again", "process", h.process, "instance", h.instance, "error", err)
				}
				wait = retry
			}
		} else if !errors.Is(err, instance.ErrNotFound) && ctx.Err() == nil {
			if status.Of(err).Code != status.Unavailable {
				s.o.Log.Warn("an instance cannot be looked up; this is tried again", "instance", h.instance, "error", err)
			}
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
	floor, err := s.o.Journal.Floor(ctx, topic)
	if err != nil {
		return err
	}
	if seq+1 < floor {
		s.o.Log.Warn("a process missed events that are not kept any more", "process", h.process, "instance", h.instance, "first", seq+1, "last", floor-1)
		seq = floor - 1
		s.o.Acked.Acked(hub.Acked{Owner: own, Topic: topic, Seq: seq})
	}
	c, err := s.o.Hub.Cursor(ctx, topic, seq)
	if err != nil {
		return err
	}
	defer c.Close()
	down := false
	for {
		ms, err := c.Next(ctx)
		if errors.Is(err, hub.ErrClosing) {
			<-ctx.Done() // the server goes
			return nil
		}
		if errors.Is(err, journal.ErrDamaged) {
			last, err := s.o.Journal.Unreadable(ctx, topic, seq+1)
			if err != nil {
				return err
			}
			s.o.Log.Error("a process missed events where the database is damaged", "process", h.process, "instance", h.instance, "first", seq+1, "last", last)
			s.o.Acked.Acked(hub.Acked{Owner: own, Topic: topic, Seq: last})
			return errOnward
		}
		if err != nil {
			return err
		}
		for _, m := range ms {
			switch m.Kind {
			case instance.KindDeleted:
				return nil
			case instance.KindEvent:
				if down, err = s.event(ctx, h, m, down); err != nil {
					return err
				}
			}
			seq = m.Seq(topic)
			s.o.Acked.Acked(hub.Acked{Owner: own, Topic: topic, Seq: seq})
		}
	}
}

// errOnward ends hear where it is to begin again at once, behind what it passed.
var errOnward = errors.New("process: hear on")

// event runs the process on one event. What the process did wrong is over, and
// the next event is heard: the error is ctx's. down says whether who is called
// was not there at the event before, and is so again: then it is not tried more
// than once, and what follows does not wait behind each event anew.
func (s *Service) event(ctx context.Context, h heard, m *journal.Message, down bool) (bool, error) {
	p := s.live.Load().processes[h.process]
	if p == nil { // it went meanwhile, and this is about to be stopped
		return down, ctx.Err()
	}
	s.counts.events.Add(1)
	if m.Hops >= MaxHops {
		s.loop(p.name, OnEvent, p.gate)
		return down, nil
	}
	var d instance.EventData
	if err := json.Unmarshal(m.Data, &d); err != nil {
		s.o.Log.Error("an event cannot be read", "message", m.ID, "error", err)
		return down, nil
	}
	url := ""
	if p.def.Endpoint != nil {
		url = p.def.Endpoint.URL
	}
	t := &trying{s: s, began: time.Now(), last: down}
	for {
		j := job{
			process: p.name, def: p.def, gate: p.gate, on: OnEvent, hops: int(m.Hops), url: url, key: key(p.name, m.ID),
			env: map[string]any{}, fill: func(env map[string]any) *Bad {
				env["event"] = eventValue(d.Event, d.Instance.Name, d.Data)
				return nil
			},
		}
		out, err := s.perform(ctx, j)
		if err == nil {
			return down && out.answers == 0, nil
		}
		if ctx.Err() != nil {
			return down, ctx.Err()
		}
		wait, again := t.again(j, err)
		if !again {
			s.failure(ctx, j, err)
			return t.dead, nil
		}
		if !pause(ctx, wait) {
			return down, ctx.Err()
		}
	}
}

// trying is what came of an event so far.
type trying struct {
	s     *Service
	began time.Time
	calls int  // tries that failed because of who was called
	last  bool // there is no other try for such
	told  bool // that the server is at fault was logged
	dead  bool // who was called was not there at the last try
}

// again says whether an event is tried again after an error, and when.
func (t *trying) again(j job, err error) (wait time.Duration, again bool) {
	var own *ownFault
	var call *deadCall
	t.dead = errors.As(err, &call)
	switch {
	case errors.As(err, &own): // as long as it takes: it is not the process's
		if !t.told && status.Of(err).Code != status.Unavailable {
			t.s.o.Log.Warn("an event waits for the server; this is tried again", "process", j.process, "event", j.key.Ref, "error", err)
		}
		t.told = true
		return retry, true
	case !t.dead || t.last || t.calls == len(againAfter):
		return 0, false
	}
	wait = againAfter[t.calls]
	t.calls++
	return wait, time.Since(t.began)+wait < againWithin
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
