package instance

import (
	"bytes"
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

// EventData is an event, with its instance as it was when it happened. What is
// stored has no space between its parts and these names in this order, so that
// a frame of it is made by adding to its end.
type EventData struct {
	Event    string          `json:"event"`
	Instance Profile         `json:"instance"`
	Data     json.RawMessage `json:"data"`
}

const (
	beforeName     = `{"event":"`
	beforeInstance = `","instance":`
	beforeData     = `,"data":`
)

// EventName is the event's name in the Data of a message of KindEvent, read
// without the rest; "" where it is none.
func EventName(data []byte) string {
	rest, ok := bytes.CutPrefix(data, []byte(beforeName))
	end := bytes.IndexByte(rest, '"')
	if !ok || end < 0 {
		return ""
	}
	return string(rest[:end])
}

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
	e := &emission{ref: ref, store: s.o.Store}
	// What needs no look at the instance is done here: the writer serves others too.
	e.events, e.err = s.prepare(events)
	return s.o.Journal.DoOnce(key, e)
}

// emission is the one change that must be cheap: a query, and appended rows.
type emission struct {
	ref    Ref
	store  Store
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
		if err := s.names.Check(ev.Name); err != nil {
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
		ms[i] = eventMessage(row.ID, ev.name, profile, ev.data)
	}
	if !moved {
		return ms, nil
	}
	return ms, t.SetInstance(background, row)
}

// eventMessage writes EventData by its parts, which are JSON already.
func eventMessage(id uint64, name string, profile, data []byte) *journal.Message {
	b := make([]byte, 0, len(beforeName)+len(name)+len(beforeInstance)+len(profile)+len(beforeData)+len(data)+1)
	b = append(b, beforeName...)
	b = append(b, name...)
	b = append(b, beforeInstance...)
	b = append(b, profile...)
	b = append(b, beforeData...)
	b = append(b, data...)
	b = append(b, '}')
	return &journal.Message{Kind: KindEvent, Entries: journal.To(Topic(id)), Data: b}
}

// tokenRefreshed is the event that the server itself causes, and what ends the
// sessions of the old token. It says which token is new, and never the token.
func tokenRefreshed(row Row, old uint64) (*journal.Message, error) {
	profile, err := encode(row.Profile())
	if err != nil {
		return nil, err
	}
	m := eventMessage(row.ID, refreshToken, profile, fmt.Appendf(nil, `{"id":%d}`, row.Token))
	m.Ends = CredentialOf(old)
	return m, nil
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
