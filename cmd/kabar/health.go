package main

import (
	"context"
	"fmt"
	"time"

	"github.com/kabar-io/kabar/internal/api"
)

// lowSpace is what the disk should have left for the data folder at least: the
// write-ahead log grows to 16 MB by itself, and somebody has to have the time to
// make room.
const lowSpace = 512 << 20

// restless is how long a part has to be as it was said to be, until the log
// says something else of it.
const restless = 10 * time.Second

// openPart is whether anybody is let in. Who asks while the server stops is sent
// elsewhere; the log says by itself that it does.
func (s *server) openPart() api.Part {
	if s.stopping.Load() {
		return api.Part{Name: "open", Reason: "the server is stopping"}
	}
	return api.Part{Name: "open", OK: true}
}

// parts is what has to work beside the log, for /readyz.
func (s *server) parts() []func() api.Part {
	if s.canary == nil {
		return []func() api.Part{s.dataPart, s.spacePart}
	}
	return []func() api.Part{s.dataPart, s.spacePart, s.canaryPart}
}

// dataPart is whether what is stored can be read.
func (s *server) dataPart() api.Part {
	since, why := s.store.Damage()
	if why != nil {
		return api.Failing("data", since, fmt.Errorf("%w; what is not damaged is served, `kabar data check` says what is, `kabar restore` puts a backup into an empty folder", why))
	}
	since, why = s.store.Reading()
	return api.Failing("data", since, why)
}

// spacePart is how much room there is. Little is no reason to send nobody here:
// that it does not suffice the journal says.
func (s *server) spacePart() api.Part {
	return spaceOf(s.store.Free())
}

func spaceOf(free uint64, err error) api.Part {
	p := api.Part{Name: "space", OK: true}
	switch {
	case err != nil:
		p.Reason = "how much room the disk has is not known: " + err.Error()
	case free < lowSpace:
		p.Reason = fmt.Sprintf("a warning: only %d MB are left on the disk; everything works until it is full, and then nothing can be stored", free>>20)
	}
	return p
}

// watch says in the log what the parts of /readyz say, when it begins and when
// it ends; the journal does that for itself.
func (s *server) watch(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	said := make([]struct {
		reason bool // there was something to say
		at     time.Time
	}, len(s.parts()))
	for {
		for i, part := range s.parts() {
			p := part()
			if p.Reason == errStuck.Error() { // the journal says it
				continue
			}
			if last := &said[i]; last.reason == (p.Reason != "") || time.Since(last.at) < restless {
				continue
			}
			said[i].reason, said[i].at = p.Reason != "", time.Now()
			switch {
			case p.Reason == "":
				s.log.Info("it is well again", "part", p.Name)
			case p.OK:
				s.log.Warn("this needs attention", "part", p.Name, "reason", p.Reason)
			default:
				s.log.Error("the server is not ready", "part", p.Name, "reason", p.Reason)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
