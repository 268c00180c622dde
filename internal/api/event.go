package api

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// maxEventsBody bounds a request with events: a batch holds a hundred.
const maxEventsBody = 4 << 20

// occurrence is an event as it is posted.
type occurrence struct {
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
}

// event hands over the event of POST /v1/publish.
func (a *API) event(p publication, k journal.Key) (*journal.Pending, string, error) {
	return a.o.Instances.Emit(instance.ByName(p.Instance), []instance.Event{{Name: p.Event, Data: p.Data}}, k), "", nil
}

// events is POST /v1/instances/{name}/events {event, data}, or an array of at
// most 100 → 202 {accepted:[{id, seq}]}, once all of them are durable. The
// administrator may, and the instance with its own token.
func (a *API) events(w http.ResponseWriter, r *http.Request) error {
	ref, scope, err := a.instance(r)
	if err != nil {
		return err
	}
	k, err := key(r, scope)
	if err != nil {
		return err
	}
	b, err := gateway.ReadBody(w, r, maxEventsBody)
	if err != nil {
		return err
	}
	var posted []occurrence
	if b = bytes.TrimSpace(b); len(b) > 0 && b[0] == '[' {
		err = gateway.DecodeJSON(b, &posted)
	} else {
		posted = make([]occurrence, 1)
		err = gateway.DecodeJSON(b, &posted[0])
	}
	if err != nil {
		return err
	}
	list := make([]instance.Event, len(posted))
	for i, o := range posted {
		list[i] = instance.Event{Name: o.Event, Data: o.Data}
	}
	result, err := a.o.Instances.Emit(ref, list, k).Wait(r.Context())
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

// instance is the instance named in the path, for who may act for it, and the
// scope of the keys of whoever does.
func (a *API) instance(r *http.Request) (instance.Ref, string, error) {
	name := r.PathValue("name")
	if a.o.Admin.Is(r) {
		return instance.ByName(name), "admin/instance/" + name, nil
	}
	access, err := a.o.Instances.Authenticate(r.Context(), gateway.Bearer(r.Header))
	switch {
	case err != nil:
		return instance.Ref{}, "", status.Errorf(status.Unauthenticated, "", "this needs the administrator's key, as apikey: <key>, or the instance's token, as Authorization: Bearer <token>")
	case access.Instance.Name != name:
		return instance.Ref{}, "", status.Errorf(status.Forbidden, "FOREIGN_INSTANCE", "this token is another instance's")
	}
	return access.Ref(), access.Credential(), nil
}
