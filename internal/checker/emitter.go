package checker

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
)

// emitter is an instance: events go in, and subscribers hear them.
type emitter struct {
	*kit
	client *client
	name   string
	token  string
	ledger *ledger // of its events
}

// emitter makes an instance.
func (k *kit) emitter(ctx context.Context, c *client, name string, l *ledger) (*emitter, error) {
	e := &emitter{kit: k, client: c, name: name, ledger: l}
	var made struct{ Auth struct{ Token string } }
	err := c.insist(ctx, "POST", "/instance/create", [][2]string{{"apikey", k.key}}, map[string]string{"instanceName": name}, &made)
	e.token = made.Auth.Token
	return e, err
}

// eventNames are the names of an instance's events, in turn.
var eventNames = []string{"messages.upsert", "send.message", "contacts.update"}

// post is a publisher that posts as the administrator or as the instance itself.
func (e *emitter) post(number int, size func(r *rand.Rand) int) post {
	who := [2]string{"apikey", e.key}
	if number%4 >= 2 {
		who = bearer(e.token)[0]
	}
	return post{found: e.ledger.found, acked: e.ledger.ack, number: number, size: size, say: func(ctx context.Context, key string, items []item) ([]ack, error) {
		var list []any
		for _, i := range items {
			list = append(list, map[string]any{"event": eventNames[i.n%len(eventNames)], "data": map[string]string{"text": i.text()}})
		}
		var body any = list
		if len(list) == 1 {
			body = list[0]
		}
		var out struct {
			Accepted []struct {
				ID  string
				Seq uint64
			}
		}
		err := e.client.call(ctx, "POST", "/v1/instances/"+e.name+"/events", [][2]string{who, {"Idempotency-Key", key}}, body, &out)
		acks := make([]ack, len(out.Accepted))
		for i, a := range out.Accepted {
			acks[i] = ack{a.ID, a.Seq}
		}
		return acks, err
	}}
}

func (e *emitter) path(query string) string {
	return "/ws/events?event=*&token=" + url.QueryEscape(e.token) + query
}

func (e *emitter) topic() string { return "instance/" + e.name }

// subscriber goes on after the last number or, with a name, where the server
// knows that the consumer is.
func (e *emitter) subscriber(name string, m manner, consumer string) *receiver {
	rec := e.ledger.record(name, e.topic())
	c := newClient(e.base, m.slow)
	return e.receiver(rec, m, func(ctx context.Context) (source, error) {
		life, query := e.life(), fmt.Sprintf("&after=%d", rec.last)
		if consumer != "" {
			query = "&after=last&consumer=" + consumer
		}
		ws, err := c.dial(ctx, e.path(query), rec.heard)
		if err != nil {
			return nil, err
		}
		rec.connected(rec.last, consumer != "", life)
		return &socket{ws: ws, decode: e.decode, closed: c.close}, nil
	})
}

// listener follows Server-Sent Events as a browser's EventSource does: always
// with the same URL, and the last id in a header.
func (e *emitter) listener(name string, m manner) *receiver {
	rec := e.ledger.record(name+" (SSE)", e.topic())
	c := newClient(e.base, m.slow)
	lastID := ""
	return e.receiver(rec, m, func(ctx context.Context) (source, error) {
		life := e.life()
		s, err := c.events(ctx, e.path("&after=0"), lastID)
		if err != nil {
			return nil, err
		}
		rec.connected(rec.last, false, life)
		s.closed = c.close
		s.decode = func(id string, data []byte) (frame, error) {
			f, err := e.decode(data)
			if seq, ok := position(id); err == nil && (!ok || seq != f.seq) {
				err = &refused{what: fmt.Sprintf("the id of an event is %q and its seq %d", id, f.seq)}
			}
			lastID = id
			return f, err
		}
		return s, nil
	})
}

// decode reads an event, as subscribers and webhooks get it.
func (e *emitter) decode(b []byte) (frame, error) {
	var f struct {
		Event    string
		Instance struct{ Name string }
		Data     struct{ Text string }
		ID       string
		Seq      uint64
		Epoch    string
	}
	if err := json.Unmarshal(b, &f); err != nil || f.Event == "" || f.Instance.Name != e.name {
		return frame{}, &refused{what: fmt.Sprintf("not an event of %s: %.200s", e.name, b)}
	}
	return frame{seq: f.Seq, epoch: f.Epoch, id: f.ID, text: f.Data.Text}, nil
}

// history reads everything that is kept, from the first event.
func (e *emitter) history(ctx context.Context) error {
	return replay(ctx, e.subscriber("the history of instance "+e.name, manner{}, ""))
}
