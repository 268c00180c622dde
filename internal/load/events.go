package load

import (
	"context"
	"net/url"

	"github.com/coder/websocket"
)

// eventName is one that every server knows.
const eventName = "messages.upsert"

// events is an instance of the run's own: clients listen to its stream, and
// events are posted to it, those together that are due at once.
type events struct {
	*run
	token string
}

func (e *events) name() string { return "bench-" + e.id }

func (e *events) setup(ctx context.Context) (counted, more []*client, err error) {
	e.undo = append(e.undo, undo{what: "the instance " + e.name(), do: func(ctx context.Context) error {
		return gone(e.server.call(ctx, "DELETE", "/instance/delete/"+e.name(), e.server.asAdmin(), nil, nil))
	}})
	var made struct{ Auth struct{ Token string } }
	if err := e.server.call(ctx, "POST", "/instance/create", e.server.asAdmin(), object{"instanceName": e.name()}, &made); err != nil {
		return nil, nil, err
	}
	e.token = made.Auth.Token
	for range e.o.Clients {
		counted = append(counted, &client{})
	}
	return counted, nil, nil
}

// gone is the error of taking something away, which may have never been there.
func gone(err error) error {
	if no := refused(err); no != nil && no.status == 404 {
		return nil
	}
	return err
}

func (e *events) dial(ctx context.Context, c *client) (*websocket.Conn, error) {
	return e.upgrade(ctx, "/ws/events?event="+eventName+"&token="+url.QueryEscape(e.token)+c.after(""), nil)
}

func (e *events) hear(c *client, frame []byte) { e.heard(c, frame) }

func (e *events) senders() (count, batch int) { return 8, min(max(256<<10/e.o.Size, 1), 100) }
func (e *events) hearers(connected int) int   { return connected }

func (e *events) say(ctx context.Context, _ int, due []message) {
	type data struct {
		Text string `json:"text"`
	}
	type event struct {
		Event string `json:"event"`
		Data  data   `json:"data"`
	}
	list := make([]event, len(due))
	for i, m := range due {
		list[i] = event{eventName, data{string(e.text(m))}}
	}
	e.tally.sent.Add(int64(len(due)))
	err := e.server.call(ctx, "POST", "/v1/instances/"+e.name()+"/events", asBearer(e.token), list, nil)
	now := e.now()
	switch no := refused(err); {
	case err == nil:
		for _, m := range due {
			e.tally.acknowledged(m, now)
		}
	case no != nil:
		e.tally.notTaken(no.Error(), len(due))
	case ctx.Err() == nil: // it may have been taken or not
		e.tally.errors.note(unreachable(err), 1)
	}
}
