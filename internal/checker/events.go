package checker

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
)

// events checks an instance's events: single ones and batches, heard with a
// position, as a named consumer, and over Server-Sent Events.
type events struct {
	*kit
	cast
	client *client
	token  string
}

const instance = "checker"

func newEvents(k *kit) *events {
	return &events{kit: k, cast: cast{found: &findings{name: "events"}}, client: newClient(k.base, false)}
}

func (e *events) said() *cast { return &e.cast }
func (e *events) close()      { e.client.close() }

func (e *events) setup(ctx context.Context) error {
	e.ledgers = []*ledger{newLedger(e.found, "instance/"+instance)}
	var made struct{ Auth struct{ Token string } }
	err := e.client.insist(ctx, "POST", "/instance/create", [][2]string{{"apikey", e.key}}, map[string]string{"instanceName": instance}, &made)
	e.token = made.Auth.Token
	return err
}

func (e *events) prepare() {
	for n := range e.o.Subscribers {
		name := fmt.Sprintf("events subscriber %d", n)
		switch n % 3 {
		case 0:
			e.receivers = append(e.receivers, e.subscriber(name, manners(n), ""))
		case 1:
			e.receivers = append(e.receivers, e.subscriber(name, manners(n), fmt.Sprintf("consumer%d", n)))
		case 2:
			e.receivers = append(e.receivers, e.listener(name, manners(n)))
		}
	}
	for n := range e.o.Publishers {
		size := func(r *rand.Rand) int { return 1 }
		if n%2 == 1 {
			size = func(r *rand.Rand) int { return 1 + r.IntN(20) }
		}
		p := post{ledger: e.ledgers[0], number: n, size: size, say: e.say(n)}
		e.publishers = append(e.publishers, p.publisher(e.kit))
	}
}

// say posts as the administrator or as the instance itself.
func (e *events) say(number int) func(ctx context.Context, key string, items []item) ([]ack, error) {
	who := [2]string{"apikey", e.key}
	if number%4 >= 2 {
		who = bearer(e.token)[0]
	}
	names := []string{"messages.upsert", "send.message", "contacts.update"}
	return func(ctx context.Context, key string, items []item) ([]ack, error) {
		var list []any
		for _, i := range items {
			list = append(list, map[string]any{"event": names[i.n%len(names)], "data": map[string]string{"text": i.text()}})
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
		err := e.client.call(ctx, "POST", "/v1/instances/"+instance+"/events", [][2]string{who, {"Idempotency-Key", key}}, body, &out)
		acks := make([]ack, len(out.Accepted))
		for i, a := range out.Accepted {
			acks[i] = ack{a.ID, a.Seq}
		}
		return acks, err
	}
}

func (e *events) path(query string) string {
	return "/ws/events?event=*&token=" + url.QueryEscape(e.token) + query
}

// subscriber goes on after the last number or, with a name, where the server
// knows that the consumer is.
func (e *events) subscriber(name string, m manner, consumer string) *receiver {
	rec := e.ledgers[0].record(name, "instance/"+instance)
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
		return &socket{ws: ws, decode: decodeEvent, closed: c.close}, nil
	})
}

// listener follows Server-Sent Events as a browser's EventSource does: always
// with the same URL, and the last id in a header.
func (e *events) listener(name string, m manner) *receiver {
	rec := e.ledgers[0].record(name+" (SSE)", "instance/"+instance)
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
			f, err := decodeEvent(data)
			if seq, ok := position(id); err == nil && (!ok || seq != f.seq) {
				err = &refused{what: fmt.Sprintf("the id of an event is %q and its seq %d", id, f.seq)}
			}
			lastID = id
			return f, err
		}
		return s, nil
	})
}

func decodeEvent(b []byte) (frame, error) {
	var f struct {
		Event    string
		Instance struct{ Name string }
		Data     struct{ Text string }
		ID       string
		Seq      uint64
		Epoch    string
	}
	if err := json.Unmarshal(b, &f); err != nil || f.Event == "" || f.Instance.Name != instance {
		return frame{}, &refused{what: fmt.Sprintf("not an event of %s: %.200s", instance, b)}
	}
	return frame{seq: f.Seq, epoch: f.Epoch, id: f.ID, text: f.Data.Text}, nil
}

// history reads everything that is kept, from the first event.
func (e *events) history(ctx context.Context) error {
	return replay(ctx, e.subscriber("the history of the instance", manner{}, ""))
}
