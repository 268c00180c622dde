package checker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// window is how many messages a speaker has under way; in a run that is to have
// many messages twice as many, since a few speakers say all that direct has.
const window = 8

// tongue is how somebody speaks a dialect over WebSocket.
type tongue struct {
	open    func(ctx context.Context, c *client) (*websocket.Conn, error)
	say     func(i item) any                              // a frame, to be JSON
	hear    func(b []byte) (_ answer, mine bool, _ error) // what answers a frame, if it is one of the speaker's
	acked   func(i item, id string)
	ordered bool // answers come in the order of the frames
	once    bool // nothing keeps the dialect from doing the same again: what was not answered is left as it is
}

// errNotStored is an answer of a server that cannot store for now: the same is
// to be said again. Of what was said with it, nobody knows what was stored.
var errNotStored = errors.New("not stored, for now")

// transient says whether a dialect's code is such an answer.
func transient(code string) bool {
	return code == "NOT_STORED" || code == "BUSY" || code == "CLOSING" || strings.HasPrefix(code, "DISK_")
}

// answer is what came of a frame.
type answer struct {
	ref string // the frame's
	id  string // what the server calls it
}

// speaker is a publisher over WebSocket with several messages under way. After
// a reconnect it sends again whatever was not acknowledged, where the dialect
// has a way to say a thing once.
type speaker struct {
	*kit
	tongue
	found    *findings
	name     string
	number   int
	pause    time.Duration // at least, between two messages
	next     int           // the number of the newest message
	unacked  []item        // in order
	stopping bool
}

func (s *speaker) run(ctx context.Context, stop <-chan struct{}) {
	c := newClient(s.base, false)
	defer c.close()
	random := s.random()
	for ctx.Err() == nil {
		ws, err := s.open(ctx, c)
		if err == nil {
			life := time.Duration(500+random.IntN(4000)) * time.Millisecond
			err = s.talk(ctx, ws, life, stop)
			_ = ws.CloseNow()
		}
		if errors.Is(err, errNotStored) {
			s.found.move(s.unacked)
		}
		if s.once {
			s.unacked = nil
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
	ctx, cancel := context.WithTimeout(ctx, progressTime+life)
	defer cancel()
	said := []item{} // on this connection, not answered
	defer func() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && len(said) > 0 {
			s.found.add(Other, "%s had no answer to %v within %v, on a connection that was open", s.name, said[0], progressTime)
		}
	}()
	most := window * s.o.many(2)
	answers := make(chan answer, 2*most)
	var lost error
	go func() {
		defer close(answers)
		lost = s.listen(ctx, ws, answers)
	}()
	defer func() {
		cancel()
		for range answers { // until the reader has ended
		}
	}()
	end := time.NewTimer(life)
	defer end.Stop()
	for _, i := range s.unacked {
		if err := s.send(ctx, ws, i); err != nil {
			return err
		}
		said = append(said, i)
	}
	for over := false; ; {
		for !over && !s.stopping && len(s.unacked) < most {
			var err error
			if said, err = s.speak(ctx, ws, said); err != nil {
				return err
			}
			if !pause(ctx, max(s.pause, s.o.Pause, s.found.rest())) {
				return ctx.Err()
			}
		}
		if (over || s.stopping) && len(s.unacked) == 0 {
			return nil
		}
		select {
		case <-end.C:
			if !s.once {
				return nil
			}
			over = true // what is under way might be carried out after what is said next
		case <-stop:
			s.stopping, stop = true, nil
		case a, ok := <-answers:
			if !ok {
				return lost
			}
			var err error
			if said, err = s.answered(a, said); err != nil {
				return err
			}
		}
	}
}

// speak says the next message, now and then twice: nothing may come of it.
func (s *speaker) speak(ctx context.Context, ws *websocket.Conn, said []item) ([]item, error) {
	s.next++
	i := item{s.number, s.next}
	s.unacked, said = append(s.unacked, i), append(said, i)
	err := s.send(ctx, ws, i)
	if err == nil && !s.once && i.n%97 == 0 {
		said = append(said, i)
		err = s.send(ctx, ws, i)
	}
	return said, err
}

// listen hands on what answers the speaker's own frames.
func (s *speaker) listen(ctx context.Context, ws *websocket.Conn, answers chan<- answer) error {
	for {
		_, b, err := read(ctx, ws)
		if err != nil {
			return err
		}
		a, mine, err := s.hear(b)
		if err != nil {
			return err
		}
		if !mine {
			continue
		}
		select {
		case answers <- a:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *speaker) send(ctx context.Context, ws *websocket.Conn, i item) error {
	b, err := json.Marshal(s.say(i))
	if err != nil {
		return err
	}
	return ws.Write(ctx, websocket.MessageText, b)
}

func ref(i item) string { return fmt.Sprintf("n%d", i.n) }

// answered takes an acknowledgement.
func (s *speaker) answered(a answer, said []item) ([]item, error) {
	at := slices.IndexFunc(said, func(i item) bool { return ref(i) == a.ref })
	if at < 0 {
		return said, &refused{what: "an acknowledgement of what was not said, or is acknowledged already: " + a.ref}
	}
	i := said[at]
	if s.ordered && at > 0 {
		s.found.add(Swapped, "%s: the answer to %s came where that to %s was due", s.name, a.ref, ref(said[0]))
	}
	s.acked(i, a.id)
	s.unacked = slices.DeleteFunc(s.unacked, func(u item) bool { return u == i })
	return slices.Delete(said, at, at+1), nil
}
