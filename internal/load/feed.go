package load

import (
	"bytes"
	"context"
	"math"
	"net/http"

	"github.com/coder/websocket"
)

// linesEach is how many lines a second one connection says: what limit.frames
// allows by itself, with room to spare.
const linesEach = 100

// feed is one stream for everybody: listeners who are nobody in particular, and
// an account that says lines over as many connections as the rate needs.
type feed struct {
	*run
	speakers []*client
}

func (f *feed) setup(ctx context.Context) (counted, more []*client, err error) {
	people, err := f.people(ctx, 1)
	if err != nil {
		return nil, nil, err
	}
	f.undo = append(f.undo, undo{what: "the last lines", stays: "the last lines on the feed, as many as feed.history keeps"})
	for range min(int(math.Ceil(f.o.Rate/linesEach)), 100) {
		f.speakers = append(f.speakers, &client{person: people[0], extra: true, said: &said{}})
	}
	for range f.o.Clients {
		counted = append(counted, &client{})
	}
	return counted, f.speakers, nil
}

func (f *feed) dial(ctx context.Context, c *client) (*websocket.Conn, error) {
	if !c.extra {
		return f.upgrade(ctx, "/websocket?format=json"+c.after(""), nil)
	}
	c.said.begin()
	return f.upgrade(ctx, "/websocket?format=json&acks=1", http.Header{"Authorization": {"Bearer " + c.person.token}})
}

func (f *feed) senders() (count, batch int) { return len(f.speakers), 1 }
func (f *feed) hearers(connected int) int   { return connected }

func (f *feed) say(ctx context.Context, sender int, due []message) {
	c := f.speakers[sender]
	for _, m := range due {
		if !c.said.add(c, m) {
			f.tally.notSent("the sender was not connected")
			continue
		}
		f.write(ctx, c, f.text(m))
	}
}

func (f *feed) hear(c *client, frame []byte) {
	if !c.extra {
		f.heard(c, frame)
		return
	}
	now := f.now()
	isAck := bytes.HasPrefix(frame, []byte(`{"kind":"ack"`))
	if !isAck && !bytes.HasPrefix(frame, []byte(`{"kind":"error"`)) {
		return // another's line
	}
	m, ok := c.said.at(line(frame))
	switch {
	case !isAck:
		f.tally.notTaken(words(frame), 1)
	case ok:
		f.tally.acknowledged(m, now)
	}
}

// line reads which line of its connection an answer is about, from 1.
func line(frame []byte) int {
	_, after, _ := bytes.Cut(frame, []byte(`"line":`))
	n, _ := digits(after)
	return int(n)
}
