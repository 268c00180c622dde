package process

import (
	"context"
	"slices"
	"strings"
	"time"
)

// published is a process that is live. It does not change.
type published struct {
	name    string
	version int
	since   time.Time
	def     *Definition
	gate    *gate
}

// registry is all that is live. It does not change: a change makes another.
type registry struct {
	processes map[string]*published
	endpoints map[string]*Endpoint
	list      []*Endpoint // by URL
}

// Load reads what is published. It is called before anybody connects.
func (s *Service) Load(ctx context.Context) error {
	return s.renew(ctx, func() error { return nil })
}

// renew carries a change out, reads what is published anew, and tells who
// watches. One at a time does it.
func (s *Service) renew(ctx context.Context, change func() error) error {
	if err := enter(ctx, s.changing); err != nil {
		return err
	}
	err := change()
	var changed []string
	if err == nil {
		// What is stored is what holds: a caller who went away changes nothing of it.
		changed, err = s.reload(context.WithoutCancel(ctx))
	}
	leave(s.changing)
	for _, url := range changed {
		for _, f := range *s.watchers.Load() {
			f(url)
		}
	}
	return err
}

// reload makes the registry anew of what is stored, and says at which URLs
// something changed.
func (s *Service) reload(ctx context.Context) (changed []string, err error) {
	rows, err := s.o.Store.Processes(ctx)
	if err != nil {
		return nil, err
	}
	ends, err := s.o.Store.Endpoints(ctx)
	if err != nil {
		return nil, err
	}
	old := s.live.Load()
	next := &registry{processes: map[string]*published{}, endpoints: map[string]*Endpoint{}}
	broken := map[string]bool{}
	for _, row := range rows {
		if row.Published == 0 {
			continue
		}
		p, err := s.publishedOf(ctx, row, old.processes[row.Name])
		if err != nil {
			return nil, err
		}
		if p == nil {
			broken[row.Name] = true
			continue
		}
		next.processes[row.Name] = p
	}
	dropped := map[string]bool{}
	for _, row := range ends {
		p := next.processes[row.Process]
		why := ""
		switch {
		case s.o.Reserved(row.URL):
			why = ErrReserved.Message
		case p == nil && broken[row.Process]:
			why = "its process cannot be run"
		case p == nil:
			continue // nobody published it yet
		}
		if why != "" {
			if dropped[row.URL] = true; !s.dropped[row.URL] {
				s.o.Log.Error("an endpoint is not served", "endpoint", row.URL, "process", row.Process, "reason", why)
			}
			continue
		}
		e := &Endpoint{
			URL: row.URL, Process: p.name, Version: p.version, Access: row.Access, Follow: p.def.Follow, Def: p.def,
			Declared: row.Declared, gate: p.gate,
		}
		if was := old.endpoints[e.URL]; e.same(was) {
			e = was
		} else {
			changed = append(changed, e.URL)
		}
		next.endpoints[e.URL] = e
		next.list = append(next.list, e)
	}
	for url := range old.endpoints {
		if next.endpoints[url] == nil {
			changed = append(changed, url)
		}
	}
	slices.SortFunc(next.list, func(a, b *Endpoint) int { return strings.Compare(a.URL, b.URL) })
	s.dropped = dropped
	s.live.Store(next)
	select {
	case s.poke <- struct{}{}:
	default:
	}
	return changed, nil
}

// publishedOf compiles a published version, unless it is the one that is live.
// nil is a version that does not compile any more: the others go on.
func (s *Service) publishedOf(ctx context.Context, row Row, old *published) (*published, error) {
	if old != nil && old.version == row.Published && old.since.Equal(row.Since) {
		return old, nil
	}
	source, ok, err := s.o.Store.Source(ctx, row.Name, row.Published)
	if err != nil {
		return nil, err
	}
	d, faults := Check(source)
	if !ok || len(faults) > 0 {
		s.o.Log.Error("a published process cannot be run: save it anew", "process", row.Name, "version", row.Published, "faults", len(faults))
		return nil, nil
	}
	p := &published{name: row.Name, version: row.Published, since: row.Since, def: d, gate: newGate()}
	if old != nil {
		p.gate = old.gate
	}
	return p, nil
}

// Edition is another value after each change of what is published, and the same
// one in between: what was made of the endpoints can be kept by it. It is held
// for comparing only.
func (s *Service) Edition() any { return s.live.Load() }

// Endpoints are the endpoints that are live, by URL.
func (s *Service) Endpoints() []*Endpoint { return slices.Clone(s.live.Load().list) }

// Endpoint is what is live at a path, nil for nothing. It waits for nobody.
func (s *Service) Endpoint(path string) *Endpoint { return s.live.Load().endpoints[path] }

// Watch has f called with the URL of each endpoint that comes, changes or goes,
// after it has. f must not wait, nor change what is published.
func (s *Service) Watch(f func(url string)) {
	for {
		old := s.watchers.Load()
		next := append(slices.Clone(*old), f)
		if s.watchers.CompareAndSwap(old, &next) {
			return
		}
	}
}
