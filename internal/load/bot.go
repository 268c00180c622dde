package load

import (
	"bytes"
	"context"

	"github.com/coder/websocket"
)

// bot is an endpoint of the run's own, bound to a process that repeats what it
// is told: each client in turn says something, and waits for its answer.
type bot struct{ *run }

func (b *bot) name() string { return "bench-" + b.id }

func (b *bot) setup(ctx context.Context) (counted, more []*client, err error) {
	process, endpoint, admin := "/v1/processes/"+b.name(), "/v1/endpoints/"+b.name(), b.server.asAdmin()
	for _, made := range []struct{ what, path string }{{"the process " + b.name(), process}, {"the endpoint /" + b.name(), endpoint}} {
		b.undo = append(b.undo, undo{what: made.what, do: func(ctx context.Context) error {
			return gone(b.server.call(ctx, "DELETE", made.path, admin, nil, nil))
		}})
	}
	source := object{
		"process": b.name(), "inputs": object{"text": "string"}, "outputs": object{"text": "string"},
		"rules": []object{{"reply": object{"text": "text"}}},
	}
	for _, step := range []struct {
		method, path string
		body         object
	}{{"PUT", process, source}, {"POST", process + "/publish", object{}}, {"PUT", endpoint, object{"process": b.name(), "access": "anonymous"}}} {
		if err := b.server.call(ctx, step.method, step.path, admin, step.body, nil); err != nil {
			return nil, nil, err
		}
	}
	for range b.o.Clients {
		counted = append(counted, &client{said: &said{}, asks: true})
	}
	return counted, nil, nil
}

func (b *bot) dial(ctx context.Context, _ *client) (*websocket.Conn, error) {
	return b.upgrade(ctx, "/"+b.name(), nil)
}

func (b *bot) senders() (count, batch int) { return 32, 1 }
func (b *bot) hearers(int) int             { return 1 }

func (b *bot) say(ctx context.Context, _ int, due []message) {
	for _, m := range due {
		c := b.speaking[m.n%len(b.speaking)]
		b.tally.owed(m) // there is an answer to each frame
		if !c.said.add(c, m) {
			b.tally.disowned(m)
			b.tally.notSent("the sender was not connected")
			continue
		}
		frame := append(append([]byte(`{"text":"`), b.text(m)...), `"}`...)
		b.write(ctx, c, frame)
	}
}

// hear takes an answer: the k-th is the k-th frame's.
func (b *bot) hear(c *client, frame []byte) {
	m, ok := c.said.next()
	if ok && bytes.HasPrefix(frame, []byte(`{"error"`)) {
		b.tally.disowned(m)
		b.tally.notTaken(words(frame), 1)
		return
	}
	b.heard(c, frame)
}
