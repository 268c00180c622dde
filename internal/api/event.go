package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/status"
)

// maxEventsBody bounds a request with events: a batch holds a hundred.
const maxEventsBody = 4 << 20

// occurrence is an event as it is posted.
type occurrence struct {
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
}

var errForeign = status.Errorf(status.Forbidden, "FOREIGN_INSTANCE", "this token is another instance's")

// adminScope is the scope of the administrator's keys for an instance's events.
// It names the id: the key of a name's earlier bearer is not the later one's.
func adminScope(i instance.Instance) string { return "admin/" + instance.Topic(i.ID) }

// events is POST /v1/instances/{name}/events {event, data}, or an array of at
// most 100 → 202 {accepted:[{id, seq}]}, once all of them are durable. The
// administrator may, and the instance with its own token.
func (a *API) events(w http.ResponseWriter, r *http.Request) error {
	ref, scope, err := a.instance(r)
	if err != nil {
		return err
	}
	caused, err := hops(r)
	if err != nil {
		return err
	}
	ik, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	b, err := gateway.ReadBody(w, r, maxEventsBody)
	if err != nil {
		return err
	}
	list, err := readEvents(b)
	if err != nil {
		return err
	}
	result, err := a.say(manner{ik, caused}, scope, a.o.Instances.EmitIn(ref, list)).Wait(r.Context())
	if err != nil {
		return err
	}
	places := make([]place, len(result.Messages))
	for i, m := range result.Messages {
		places[i] = place{m.ID, m.Entries[0].Seq}
	}
	gateway.WriteJSON(w, http.StatusAccepted, map[string]any{"accepted": places})
	return nil
}

// readEvents reads one event or an array of them. It stops at the first one
// too many: a body full of tiny ones would become a hundred times its size.
func readEvents(b []byte) ([]instance.Event, error) {
	one := func(raw []byte) (instance.Event, error) {
		var o occurrence
		err := decodeJSON(raw, &o)
		return instance.Event{Name: o.Event, Data: o.Data}, err
	}
	if b = bytes.TrimSpace(b); len(b) == 0 || b[0] != '[' {
		e, err := one(b)
		return []instance.Event{e}, err
	}
	var list []instance.Event
	d := json.NewDecoder(bytes.NewReader(b))
	_, _ = d.Token() // the bracket
	for d.More() {
		if len(list) == instance.MaxEvents {
			return nil, status.Errorf(status.TooLarge, "TOO_MANY_EVENTS", "these are more than %d events; send at most so many at once", instance.MaxEvents)
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, gateway.DecodeJSON(b, &raw) // which says where
		}
		e, err := one(raw)
		if err != nil {
			return nil, status.Errorf(status.Of(err).Code, status.Of(err).Reason, "event %d: %s", len(list)+1, status.Of(err).Message)
		}
		list = append(list, e)
	}
	_, end := d.Token() // the other bracket
	if _, rest := d.Token(); end != nil || !errors.Is(rest, io.EOF) {
		var raw json.RawMessage
		return nil, gateway.DecodeJSON(b, &raw)
	}
	return list, nil
}

// instance is the instance named in the path, for who may act for it, and the
// scope of the keys of whoever does: of the instance, so that a refreshed token
// does not forget.
func (a *API) instance(r *http.Request) (instance.Ref, string, error) {
	name := r.PathValue("name")
	by, err := a.by(r)
	switch {
	case err != nil:
		return instance.Ref{}, "", err
	case by.Instance.ID == 0:
		i, err := a.o.Instances.Get(r.Context(), instance.ByName(name))
		return instance.ByID(i.ID), adminScope(i), err
	case by.Instance.Name != name:
		return instance.Ref{}, "", errForeign
	}
	return by.Ref(), instance.Topic(by.Instance.ID), nil
}

// by is what a request's token opens; the zero Access for the administrator, to
// whom all is open. What is done then is done by its Ref, so that a token that
// ends meanwhile does nothing more.
func (a *API) by(r *http.Request) (instance.Access, error) {
	token := gateway.Bearer(r.Header)
	switch {
	case a.o.Admin.Is(r):
		return instance.Access{}, nil
	case token == "" || r.Header.Get("apikey") != "":
		return instance.Access{}, status.Errorf(status.Unauthenticated, "", "this needs the administrator's key, as apikey: <key>, or the instance's token, as Authorization: Bearer <token>")
	}
	return a.o.Instances.Authenticate(r.Context(), token)
}
