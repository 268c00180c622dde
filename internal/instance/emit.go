package instance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// The kinds of message in an instance's topic, and what stands in their Data.
const (
	KindEvent = "event" // EventData

	KindDeleted = "instance.deleted" // the last one; no event, and no dialect shows it as one
)

// Event is an event to emit.
type Event struct {
	Name string
	Data json.RawMessage // any JSON value; nothing is null
}

// The bounds of what one call emits: it is one change, and others wait for it.
const (
	MaxEvents = 100      // in one call
	maxData   = 64 << 10 // of one event: a session's queue must hold some of them
)

// Emit says events of an instance, in their order, all or none. Done, they are
// durable; with a key (see journal.Key) they are said once however often they
// are handed over. The result's messages are theirs, one each.
func (s *Service) Emit(ref Ref, events []Event, key journal.Key) *journal.Pending {
	return s.o.Journal.DoOnce(key, s.EmitIn(ref, events))
}

// EmitIn is Emit as a change, to be one with others (see journal.All). What is
// wrong with the events is found when it is applied.
func (s *Service) EmitIn(ref Ref, events []Event) journal.Change {
	// What needs no look at the instance is done here: the writer serves others too.
	list, err := s.prepare(events)
	return &emission{ref: ref, store: s.o.Store, all: s.o.All, events: list, err: err}
}

// emission is the one change that must be cheap: a query, and appended rows.
type emission struct {
	ref    Ref
	store  Store
	all    bool
	events []event
	err    error // found before it was handed over
}

// event is an Event that is fit to be stored.
type event struct {
	name string
	data []byte
	said Connection // where it is a connection.update
}

func (s *Service) prepare(events []Event) ([]event, error) {
	switch {
	case len(events) == 0:
		return nil, status.Errorf(status.Invalid, "EVENT_REQUIRED", "there is no event to emit")
	case len(events) > MaxEvents:
		return nil, status.Errorf(status.TooLarge, "TOO_MANY_EVENTS", "these are %d events; send at most %d at once", len(events), MaxEvents)
	}
	list := make([]event, len(events))
	for i, ev := range events {
		if err := s.names.CheckSaid(ev.Name); err != nil {
			return nil, nth(err, i, len(events))
		}
		data, err := compact("data", ev.Data, maxData)
		if err != nil {
			return nil, nth(err, i, len(events))
		}
		list[i] = event{name: ev.Name, data: data}
		if ev.Name == connectionUpdate {
			list[i].said = connectionOf(data)
		}
	}
	return list, nil
}

// nth says which of several events an error is about.
func nth(err error, i, of int) error {
	var e *status.Error
	if of == 1 || !errors.As(err, &e) {
		return err
	}
	return status.Errorf(e.Code, e.Reason, "event %d of %d: %s", i+1, of, e.Message)
}

// The bounds of what is kept of a connection.update beside the event itself.
const (
	maxState  = 64
	maxReason = 256
)

// connectionOf is what a connection.update says, as far as it says it: what
// else a producer puts there is its own business.
func connectionOf(data []byte) (c Connection) {
	var said struct {
		State        json.RawMessage `json:"state"`
		StatusReason json.RawMessage `json:"statusReason"`
	}
	if json.Unmarshal(data, &said) != nil {
		return Connection{}
	}
	if json.Unmarshal(said.State, &c.State) != nil || len(c.State) > maxState {
		c.State = ""
	}
	if r := said.StatusReason; len(r) <= maxReason && string(r) != "null" {
		c.StatusReason = r
	}
	return c
}

// Apply stores the events, and moves the instance's row where they change it.
func (e *emission) Apply(tx *journal.Tx) ([]*journal.Message, error) {
	if e.err != nil {
		return nil, e.err
	}
	t := e.store.In(tx)
	row, err := e.ref.find(background, t)
	if err != nil {
		return nil, err
	}
	seq, err := tx.Head(Topic(row.ID))
	if err != nil {
		return nil, err
	}
	moved := false
	var profile []byte // as it is now, encoded; nil after it changed
	ms := make([]*journal.Message, len(e.events))
	for i, ev := range e.events {
		seq++
		switch ev.name {
		case connectionUpdate:
			row.State, row.StatusReason, row.LastConnection = ev.said.State, ev.said.StatusReason, seq
			moved, profile = true, nil
		case qrcodeUpdated:
			row.LastQRCode, moved = seq, true
		}
		if profile == nil {
			if profile, err = encode(row.Profile()); err != nil {
				return nil, err
			}
		}
		ms[i] = eventMessage(topicsOf(row.ID, e.all), ev.name, profile, ev.data)
	}
	if !moved {
		return ms, nil
	}
	return ms, t.SetInstance(background, row)
}

// topicsOf are the topics that an instance's event enters.
func topicsOf(id uint64, all bool) []journal.Entry {
	if all {
		return journal.To(Topic(id), AllTopic)
	}
	return journal.To(Topic(id))
}

// tokenRefreshed is the event that the server itself causes, and what ends the
// sessions of the old token. It says which token is new, and never the token.
func (s *Service) tokenRefreshed(row Row, old uint64) (*journal.Message, error) {
	profile, err := encode(row.Profile())
	if err != nil {
		return nil, err
	}
	m := eventMessage(topicsOf(row.ID, s.o.All), refreshToken, profile, fmt.Appendf(nil, `{"id":%d}`, row.Token))
	m.Ends = CredentialOf(old)
	return m, nil
}

// SayIn is the messages of events that the server itself says in an instance's
// topic, inside a change. They do not enter AllTopic: who hears every instance
// did not ask for them.
func (s *Service) SayIn(tx *journal.Tx, ref Ref, events []Event) ([]*journal.Message, error) {
	row, err := ref.find(background, s.o.Store.In(tx))
	if err != nil {
		return nil, err
	}
	profile, err := encode(row.Profile())
	if err != nil {
		return nil, err
	}
	ms := make([]*journal.Message, len(events))
	for i, e := range events {
		ms[i] = eventMessage(topicsOf(row.ID, false), e.Name, profile, e.Data)
	}
	return ms, nil
}

// State is the newest connection.update and qrcode.updated of an instance, in
// the order in which they were said.
func (s *Service) State(ctx context.Context, ref Ref) ([]*journal.Message, error) {
	i, err := s.Get(ctx, ref)
	if err != nil {
		return nil, err
	}
	topic := Topic(i.ID)
	var ms []*journal.Message
	for _, seq := range []uint64{i.LastConnection, i.LastQRCode} {
		if seq == 0 {
			continue
		}
		m, err := s.message(ctx, topic, seq)
		if errors.Is(err, journal.ErrExpired) {
			continue // it is long ago, and not kept any more
		}
		if err != nil {
			return nil, err
		}
		ms = append(ms, m)
	}
	slices.SortFunc(ms, func(a, b *journal.Message) int { return cmp.Compare(a.Seq(topic), b.Seq(topic)) })
	return ms, nil
}

// message is the one with this number, which a row names already.
func (s *Service) message(ctx context.Context, topic string, seq uint64) (*journal.Message, error) {
	for range 2 {
		ms, err := s.o.Journal.Read(ctx, topic, seq-1, 1)
		switch {
		case err != nil:
			return nil, err
		case len(ms) == 1:
			return ms[0], nil
		}
		// The row is committed a moment before the journal can be asked. What
		// is handed over now is done after that moment.
		if err := s.change(ctx, func(*journal.Tx, Tx) ([]*journal.Message, error) { return nil, nil }); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("instance: %s lacks message %d", topic, seq)
}
