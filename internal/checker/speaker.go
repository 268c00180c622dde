package checker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coder/websocket"
)

// window is how many messages a speaker has under way.
const window = 8

// speaker is a person who sends messages with refs over WebSocket, several
// under way, and after a reconnect sends again whatever was not acknowledged.
type speaker struct {
	*direct
	*person
	next     int    // the number of the newest message
	unacked  []item // in order
	stopping bool
}

func (s *speaker) run(ctx context.Context, stop <-chan struct{}) {
	c := newClient(s.base, false)
	defer c.close()
	random := s.random()
	for ctx.Err() == nil {
		ws, err := s.connect(ctx, c, s.speaks, "", nil)
		if err == nil {
			life := time.Duration(500+random.IntN(4000)) * time.Millisecond
			err = s.talk(ctx, ws, life, stop)
			_ = ws.CloseNow()
		}
		var no *refused
		switch {
		case s.stopping && len(s.unacked) == 0:
			return
		case errors.As(err, &no), err != nil && !fair(err) && ctx.Err() == nil:
			s.found.add(Other, "%s cannot go on: %v", s.name, err)
			return
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// talk sends and hears acknowledgements until the connection or its life ends,
// or all is said.
func (s *speaker) talk(ctx context.Context, ws *websocket.Conn, life time.Duration, stop <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime+life)
	defer cancel()
	answers := make(chan directFrame, 2*window)
	var lost error
	go func() {
		defer close(answers)
		lost = listen(ctx, ws, answers)
	}()
	defer func() {
		cancel()
		for range answers { // until the reader has ended
		}
	}()
	end := time.NewTimer(life)
	defer end.Stop()
	said := []item{} // on this connection, not answered
	for _, i := range s.unacked {
		if err := s.say(ctx, ws, i); err != nil {
			return err
		}
		said = append(said, i)
	}
	for {
		for !s.stopping && len(s.unacked) < window {
			s.next++
			i := item{s.number, s.next}
			s.unacked, said = append(s.unacked, i), append(said, i)
			if err := s.say(ctx, ws, i); err != nil {
				return err
			}
			if i.n%97 == 0 { // now and then twice: nothing may come of it
				said = append(said, i)
				if err := s.say(ctx, ws, i); err != nil {
					return err
				}
			}
			if !pause(ctx, s.o.Pause) {
				return ctx.Err()
			}
		}
		if s.stopping && len(s.unacked) == 0 {
			return nil
		}
		select {
		case <-end.C:
			return nil
		case <-stop:
			s.stopping, stop = true, nil
		case f, ok := <-answers:
			if !ok {
				return lost
			}
			var err error
			if said, err = s.answered(f, said); err != nil {
				return err
			}
		}
	}
}

// listen hands on what answers the speaker's own frames.
func listen(ctx context.Context, ws *websocket.Conn, answers chan<- directFrame) error {
	for {
		_, b, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		var f directFrame
		if err := json.Unmarshal(b, &f); err != nil {
			return &refused{what: "a frame that is not JSON: " + string(b)}
		}
		if f.Type != 4 && f.Type != -1 {
			continue
		}
		select {
		case answers <- f:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *speaker) say(ctx context.Context, ws *websocket.Conn, i item) error {
	b, err := json.Marshal(map[string]any{
		"type": 0, "ref": ref(i), "data": map[string]any{"to": s.friend.id, "message": i.text()},
	})
	if err != nil {
		return err
	}
	return ws.Write(ctx, websocket.MessageText, b)
}

func ref(i item) string { return fmt.Sprintf("n%d", i.n) }

// answered takes an ACK or an ERROR: answers come in the order of the frames.
func (s *speaker) answered(f directFrame, said []item) ([]item, error) {
	if f.Type == -1 {
		return said, &refused{what: fmt.Sprintf("an ERROR for ref %q: %s (%s)", f.Data.Ref, f.Data.Message, f.Data.Code)}
	}
	if len(said) == 0 {
		return said, &refused{what: "an ACK that nothing is left for: " + f.Data.Ref}
	}
	i := said[0]
	if ref(i) != f.Data.Ref {
		s.found.add(Swapped, "%s: the ACK of %s came where that of %s was due", s.name, f.Data.Ref, ref(i))
		at := slices.IndexFunc(said, func(i item) bool { return ref(i) == f.Data.Ref })
		if at < 0 {
			return said, &refused{what: "an ACK of what was not said: " + f.Data.Ref}
		}
		i = said[at]
		said = slices.Delete(slices.Clone(said), at, at+1)
	} else {
		said = said[1:]
	}
	s.ledger.ack(i, ack{id: f.Data.ID})
	s.unacked = slices.DeleteFunc(s.unacked, func(u item) bool { return u == i })
	return said, nil
}
