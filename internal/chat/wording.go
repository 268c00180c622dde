package chat

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// wordings are the messages that hold what somebody wrote before they changed
// it: the edits, beside the message itself. Whoever takes a text away takes it
// from all of them.
type wordings struct {
	edits  []string  // ids
	edited time.Time // when the last was made, zero for none
}

var errEditedMeanwhile = errors.New("chat: a message was edited while its edits were read")

// wordings finds the edits of a message, before the writer is asked: they are
// among what was said in the room while it could be edited. Of an id that names
// no message of a room it finds nothing.
func (s *Service) wordings(ctx context.Context, id string) (w wordings, err error) {
	said, err := s.o.Journal.Find(ctx, id)
	if errors.Is(err, journal.ErrNoMessage) {
		return w, nil
	}
	if err != nil {
		return w, err
	}
	for _, e := range said.Entries {
		number, ok := strings.CutPrefix(e.Topic, RoomTopic(0)[:len(RoomTopic(0))-1])
		if !ok {
			continue
		}
		room, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return w, err
		}
		r, ok, err := s.o.Store.Revision(ctx, room, e.Seq)
		if err != nil || !ok || r.Edited.IsZero() {
			return w, err
		}
		w.edited = r.Edited
		// The row is committed a moment before the journal can be asked. What is
		// handed over now is done after that moment.
		if _, err := s.do(ctx, func(*journal.Tx, Tx) ([]*journal.Message, error) { return nil, nil }); err != nil {
			return w, err
		}
		return w, s.edits(ctx, e, said, &w)
	}
	return w, nil
}

// edits reads on from a message for as long as it could be edited.
func (s *Service) edits(ctx context.Context, at journal.Entry, said *journal.Message, w *wordings) error {
	for after := at.Seq; ; {
		ms, err := s.o.Journal.Read(ctx, at.Topic, after, 256)
		if errors.Is(err, journal.ErrExpired) { // they are not kept any more
			return nil
		}
		if err != nil || len(ms) == 0 {
			return err
		}
		for _, m := range ms {
			if m.Time.Sub(said.Time) > editFor {
				return nil
			}
			after = m.Seq(at.Topic)
			if m.Kind != KindEdited || m.From != said.From {
				continue
			}
			var d MessageEdited
			if err := json.Unmarshal(m.Data, &d); err != nil {
				return err
			}
			if d.Of == said.ID {
				w.edits = append(w.edits, m.ID)
			}
		}
	}
}

// replace puts another text into a message and its edits: who was away hears
// them with what is there now, and what was there before is nowhere.
func (w wordings) replace(tx *journal.Tx, id, text, reply string) error {
	err := rewrite(tx, id, func(d *MessageSent) { d.Text, d.Reply = text, reply })
	for _, id := range w.edits {
		if err == nil {
			err = rewrite(tx, id, func(d *MessageEdited) { d.Text, d.Reply = text, reply })
		}
	}
	return err
}

// rewrite changes what a message says.
func rewrite[D any](tx *journal.Tx, id string, change func(*D)) error {
	m, err := tx.Find(id)
	if err != nil {
		return err
	}
	var d D
	if err := json.Unmarshal(m.Data, &d); err != nil {
		return err
	}
	change(&d)
	now := *m
	if now.Data, err = json.Marshal(d); err != nil {
		return err
	}
	return tx.Rewrite(&now)
}
