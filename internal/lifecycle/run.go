package lifecycle

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
)

// again is how long it takes until what could not be done is tried again.
const again = time.Second

// lastWait bounds how long Run waits for what is left when it ends.
const lastWait = 10 * time.Second

// Run says what comes and goes until ctx ends, and then what is left. It alone
// does, so that what is said of a subject last is how it is.
func (s *Service) Run(ctx context.Context) error {
	if s.o.Instance == "" {
		return nil
	}
	gone := time.NewTimer(0)
	gone.Stop()
	defer gone.Stop()
	s.signal()
	for {
		select {
		case <-ctx.Done():
			s.rest(ctx)
			return nil
		case <-gone.C:
			s.giveUp()
			continue
		case <-s.wake:
		}
		wait := pace
		if err := s.work(ctx, gone); err != nil {
			if ctx.Err() == nil {
				s.o.Log.Warn("who came and went could not be said; this is tried again", "error", err)
			}
			wait = again
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// work begins where the instance is new, and says one group.
func (s *Service) work(ctx context.Context, gone *time.Timer) error {
	s.mu.Lock()
	look := s.look
	s.look = false
	s.mu.Unlock()
	if look {
		if err := s.begin(ctx, gone); err != nil {
			s.mu.Lock()
			s.look = true
			s.mu.Unlock()
			s.signal()
			return err
		}
	}
	return s.say(ctx)
}

// rest says what is left when the server stops.
func (s *Service) rest(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWait)
	defer cancel()
	var err error
	for err == nil && s.waiting() {
		if err = s.say(ctx); err == nil {
			err = ctx.Err()
		}
	}
	if err != nil {
		s.o.Log.Warn("the ends of some sessions were not said; the next start says that they were killed", "error", err)
	}
}

func (s *Service) waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.news)+len(s.closed)+len(s.open.gone) > 0
}

// begin finds out whether there is the instance. Where there is, who is here
// now is said, and who was here when there was one last is missing.
func (s *Service) begin(ctx context.Context, gone *time.Timer) error {
	of, err := s.o.Instances.Get(ctx, instance.ByName(s.o.Instance))
	switch {
	case errors.Is(err, instance.ErrNotFound):
		s.off()
		return nil
	case err != nil:
		return err
	}
	if err := s.keep(ctx, of.ID); err != nil {
		return err
	}
	missing := map[string]struct{}{}
	for after := ""; ; {
		page, err := s.o.Store.Up(ctx, of.ID, after, 1000)
		if err != nil {
			return err
		}
		for _, u := range page {
			missing[u.Name], after = struct{}{}, u.Name
		}
		if len(page) < 1000 {
			break
		}
	}
	s.mu.Lock()
	for topic := range s.news { // they are back already
		delete(missing, topic)
	}
	s.missing = missing
	n := len(missing)
	s.mu.Unlock()
	s.o.Each(func(topic string) { s.Occupied(topic, true) })
	gone.Reset(s.o.Return(n))
	return nil
}

// giveUp takes that who is still missing will not come.
func (s *Service) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return
	}
	now := time.Now()
	for subject := range s.missing {
		s.news[subject] = state{at: now, reason: Restart}
	}
	s.missing = map[string]struct{}{}
	s.signal()
}

// off forgets everything: there is no such instance, unless one was made since.
func (s *Service) off() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.look {
		return
	}
	s.on.Store(false)
	s.news, s.missing, s.closed = map[string]state{}, map[string]struct{}{}, nil
	s.open, s.rows = newOpen(), rows{}
}

// group is what is said and kept in one change.
type group struct {
	items  []item   // in the order in which they happened
	opened []opened // sessions that get a row
	gone   []uint64 // rows that go, beside those of the items
}

func (g *group) empty() bool { return len(g.items)+len(g.opened)+len(g.gone) == 0 }

// item is a state of a subject, or a session that closed.
type item struct {
	subject string
	state   state
	closed  *Closed // nil: it is a state
}

func (t *item) at() time.Time {
	if t.closed != nil {
		return t.closed.at
	}
	return t.state.at
}

// take takes what is said next.
func (s *Service) take() group {
	s.mu.Lock()
	defer s.mu.Unlock()
	var g group
	n := min(len(s.closed), perGroup)
	for i := range s.closed[:n] {
		c := s.closed[i]
		g.items = append(g.items, item{subject: c.subject(), closed: &c})
	}
	if s.closed = s.closed[n:]; len(s.closed) == 0 {
		s.closed = nil
	}
	for subject, st := range s.news {
		if len(g.items) == perGroup {
			break
		}
		g.items = append(g.items, item{subject: subject, state: st})
		delete(s.news, subject)
	}
	g.opened, g.gone = s.open.take(&s.rows.last)
	if len(s.news)+len(s.closed)+len(s.open.news)+len(s.open.gone) > 0 {
		s.signal()
	}
	slices.SortStableFunc(g.items, func(a, b item) int { return a.at().Compare(b.at()) })
	return g
}

// back takes what could not be said.
func (s *Service) back(g group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var closed []Closed
	for _, t := range g.items {
		if t.closed != nil {
			closed = append(closed, *t.closed)
		} else if _, newer := s.news[t.subject]; !newer {
			s.news[t.subject] = t.state
		}
	}
	s.closed = append(closed, s.closed...)
	s.open.back(g.opened, g.gone)
	s.signal()
}

// say says one group. Where the instance is gone nobody asks any more.
func (s *Service) say(ctx context.Context) error {
	g, old, err := s.next(ctx)
	if err != nil || g.empty() {
		return err
	}
	// What was handed over is waited for to its end: what of it was said, and
	// is not known to be, would be said twice.
	r, err := s.o.Journal.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		return s.apply(tx, &g)
	})).Wait(context.WithoutCancel(ctx))
	switch {
	case errors.Is(err, instance.ErrNotFound):
		s.off()
		return nil
	case err != nil:
		if old {
			g.items = nil // they are in their rows
		}
		s.back(g)
		return err
	}
	s.stats.said.Add(uint64(len(r.Messages)))
	return nil
}

// next is what is said next: as long as there are any, the ends of sessions that
// a server was killed with, which is old.
func (s *Service) next(ctx context.Context) (g group, old bool, err error) {
	if s.rows.left == 0 {
		return s.take(), false, nil
	}
	g, err = s.killed(ctx)
	if err != nil || len(g.items) > 0 {
		s.signal() // there may be more
		return g, true, err
	}
	s.rows.left = 0
	return s.take(), false, nil
}

// apply says what is new of a group, and keeps what was said and what is open.
func (s *Service) apply(tx *journal.Tx, g *group) ([]*journal.Message, error) {
	of, err := s.o.Instances.GetIn(tx, instance.ByName(s.o.Instance))
	if err == nil && of.ID != s.rows.of { // it was made again: what is left of the one before is nobody's
		err = instance.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	t := s.o.Store.In(tx)
	kept, err := known(t, of.ID, g.items)
	if err != nil {
		return nil, err
	}
	said := map[string]*Subject{}
	var events []instance.Event
	gone := slices.Clone(g.gone)
	for i := range g.items {
		it := &g.items[i]
		k := kept[it.subject]
		if k == nil {
			k = &Subject{Name: it.subject}
			kept[k.Name] = k
		}
		if it.closed == nil && k.Up == it.state.here {
			continue // it came back, or it came and went
		}
		if it.closed != nil && it.closed.row != 0 {
			gone = append(gone, it.closed.row)
		}
		e, err := it.event(k, tx.Now())
		if err != nil {
			return nil, err
		}
		events = append(events, e)
		said[k.Name] = k
	}
	if err := s.change(t, of.ID, said, g.opened, gone); err != nil || len(events) == 0 {
		return nil, err
	}
	return s.o.Instances.SayIn(tx, instance.ByID(of.ID), events)
}

// change keeps what was said last of subjects, and which sessions are open.
func (s *Service) change(t Tx, of uint64, said map[string]*Subject, opened []opened, gone []uint64) (err error) {
	if len(said) > 0 {
		changed := make([]Subject, 0, len(said))
		for _, k := range said {
			changed = append(changed, *k)
		}
		err = t.SetSubjects(background, of, changed)
	}
	if err == nil && len(opened) > 0 {
		rows := make([]Kept, len(opened))
		for i, o := range opened {
			rows[i] = o.Kept
		}
		err = t.AddSessions(background, of, rows)
	}
	if err == nil && len(gone) > 0 {
		err = t.DropSessions(background, of, gone)
	}
	return err
}

// background is for what runs inside a change, which waits for nobody.
var background = context.Background()

// known is what is kept of a group's subjects, by name.
func known(r Reader, of uint64, g []item) (map[string]*Subject, error) {
	names := make([]string, len(g))
	for i := range g {
		names[i] = g[i].subject
	}
	list, err := r.Subjects(background, of, names)
	if err != nil {
		return nil, err
	}
	kept := make(map[string]*Subject, len(g))
	for i := range list {
		kept[list[i].Name] = &list[i]
	}
	return kept, nil
}

// event is the next event about k, which becomes what it says.
func (t *item) event(k *Subject, now time.Time) (instance.Event, error) {
	k.Number++
	d := Data{Subject: k.Name, Number: k.Number}
	if c := t.closed; c != nil {
		if k.Since = c.at; c.at.IsZero() {
			k.Since = now
		}
		d.User, d.Login, d.Instance = c.User, c.Login, c.instance()
		d.Gateway, d.Code, d.Reason = c.Gateway, c.Code, c.Reason
		d.Since = c.Opened.UTC().Format(stamp)
		if !c.at.IsZero() {
			d.lasted(c.Opened, c.at)
		}
		return d.event(instance.SessionClosed)
	}
	came, went := instance.UserOnline, instance.UserOffline
	if d.User = userOf(k.Name); d.User == 0 {
		came, went, d.Topic = instance.TopicOccupied, instance.TopicVacated, k.Name
	}
	d.Since = t.state.at.UTC().Format(stamp)
	name := came
	if !t.state.here {
		name, d.Reason = went, t.state.reason
		d.lasted(k.Since, t.state.at)
	}
	k.Up, k.Since = t.state.here, t.state.at
	return d.event(name)
}
