package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/webhook"
)

// hook is a webhook as its owner sees it.
type hook struct {
	ID       uint64   `json:"id"`
	Instance string   `json:"instance"` // "": the one that gets every instance's events
	Main     bool     `json:"main"`     // PUT /webhook/set sets this one
	URL      string   `json:"url"`
	State    string   `json:"state"`  // on, held or off
	Events   []string `json:"events"` // null: all
	Format   string   `json:"format"`
	Rate     float64  `json:"rate"` // 0: no bound
	Created  string   `json:"created"`
	Updated  string   `json:"updated"`
	Taken    string   `json:"lastDelivered,omitempty"`
	Error    string   `json:"lastError,omitempty"`
	Since    string   `json:"onHoldSince,omitempty"`
	Tries    int      `json:"tries,omitempty"`
	Next     string   `json:"nextTry,omitempty"`
}

func written(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeFormat)
}

var formats = map[string]webhook.Format{"kabar": webhook.Kabar, "cloudevents": webhook.CloudEvents}

func formatName(f webhook.Format) string {
	for name, is := range formats {
		if is == f {
			return name
		}
	}
	return ""
}

func (a *API) showWebhook(ctx context.Context, h webhook.Webhook) (hook, error) {
	v := hook{
		ID: h.ID, Main: h.Main, URL: h.URL, State: "on", Events: h.Events, Format: formatName(h.Format), Rate: h.Rate,
		Created: written(h.Created), Updated: written(h.Updated), Taken: written(h.Taken), Error: h.Error,
		Since: written(h.Hold.Since), Tries: h.Hold.Tries, Next: written(h.Hold.Next),
	}
	switch {
	case !h.Enabled:
		v.State = "off"
	case v.Since != "":
		v.State = "held"
	}
	if h.Instance == 0 {
		return v, nil
	}
	i, err := a.o.Instances.Get(ctx, instance.ByID(h.Instance))
	v.Instance = i.Name
	return v, err
}

// named is the instance that a request names, for who may see its webhooks; their
// own where it names none, and the zero Ref for all. Whether there is another one
// is nobody else's business.
func (a *API) named(r *http.Request, by instance.Access, name string) (ref instance.Ref, id uint64, err error) {
	switch {
	case name == "" || name == by.Instance.Name:
		return by.Ref(), by.Instance.ID, nil
	case by.Instance.ID != 0:
		return instance.Ref{}, 0, errForeign
	}
	i, err := a.o.Instances.Get(r.Context(), instance.ByName(name))
	return instance.ByID(i.ID), i.ID, err
}

// ownWebhook is the id of the webhook in the path, for who may see it, and by whom
// what is done to it is done.
func (a *API) ownWebhook(r *http.Request) (id uint64, by instance.Ref, err error) {
	who, err := a.by(r)
	if err != nil {
		return 0, by, err
	}
	if id, err = number("id", r.PathValue("id"), 0); err != nil {
		return 0, by, err
	}
	h, err := a.o.Webhooks.Get(r.Context(), id)
	if err == nil && who.Instance.ID != 0 && h.Instance != who.Instance.ID {
		err = webhook.ErrNoID // as one that is not: whose it is, is nobody else's business
	}
	return id, who.Ref(), err
}

// listWebhooks is GET /v1/webhooks?instance=&after=&limit= → {webhooks, next}.
func (a *API) listWebhooks(w http.ResponseWriter, r *http.Request) error {
	by, err := a.by(r)
	if err != nil {
		return err
	}
	_, of, err := a.named(r, by, r.URL.Query().Get("instance"))
	if err != nil {
		return err
	}
	after, limit, err := page(r)
	if err != nil {
		return err
	}
	var all []webhook.Webhook
	if of == 0 {
		all, err = a.o.Webhooks.List(r.Context(), after, limit)
	} else {
		all, err = a.o.Webhooks.ListOf(r.Context(), of, after, limit)
	}
	if err != nil {
		return err
	}
	out, next := []hook{}, uint64(0)
	for _, h := range all {
		v, err := a.showWebhook(r.Context(), h)
		switch {
		case errors.Is(err, instance.ErrNotFound): // it went just now, and its webhook with it
			continue
		case err != nil:
			return err
		}
		out = append(out, v)
	}
	if len(all) == limit {
		next = all[len(all)-1].ID
	}
	gateway.WriteJSON(w, http.StatusOK, struct {
		Webhooks []hook `json:"webhooks"`
		Next     uint64 `json:"next"`
	}{out, next})
	return nil
}

// hookSpec is what of a webhook is to be; what is not there stays as it is.
type hookSpec struct {
	Instance string          `json:"instance"`
	URL      *string         `json:"url"`
	Enabled  *bool           `json:"enabled"`
	Events   json.RawMessage `json:"events"` // a list, or null for all
	Format   *string         `json:"format"`
	Rate     *float64        `json:"rate"`
}

func (s hookSpec) changes() (c webhook.Changes, err error) {
	c = webhook.Changes{URL: s.URL, Enabled: s.Enabled, Rate: s.Rate}
	if len(s.Events) > 0 {
		var names []string
		if json.Unmarshal(s.Events, &names) != nil {
			return c, status.Errorf(status.Invalid, "WRONG_TYPE", "events must be a list of names, or null for all")
		}
		c.Events = &names
	}
	if s.Format != nil {
		f, known := formats[*s.Format]
		if !known {
			return c, status.Errorf(status.Invalid, "FORMAT_UNKNOWN", "there is no format %.40q; there are kabar and cloudevents", *s.Format)
		}
		c.Format = &f
	}
	return c, nil
}

// madeHook is a webhook with keys that were just made.
type madeHook struct {
	hook
	Secret    string `json:"secret,omitempty"`
	PublicKey string `json:"publicKey"`
}

// readHook reads what a webhook is to be, and what that changes.
func readHook(w http.ResponseWriter, r *http.Request) (in hookSpec, c webhook.Changes, err error) {
	if err = readJSON(w, r, &in); err == nil {
		c, err = in.changes()
	}
	return in, c, err
}

// addWebhook is POST /v1/webhooks {instance, url, …} → 201 with the secret, once.
func (a *API) addWebhook(w http.ResponseWriter, r *http.Request) error {
	by, err := a.by(r)
	if err != nil {
		return err
	}
	ik, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	in, c, err := readHook(w, r)
	if err != nil {
		return err
	}
	ref, of, err := a.named(r, by, in.Instance)
	switch {
	case err != nil:
		return err
	case of == 0:
		return status.Errorf(status.Invalid, "INSTANCE_REQUIRED", "instance is missing: name the instance whose events are to be sent")
	}
	made, err := a.o.Webhooks.Add(r.Context(), ref, c, string(ik))
	if err != nil {
		return err
	}
	v, err := a.showWebhook(r.Context(), made.Webhook)
	if err == nil {
		gateway.WriteJSON(w, http.StatusCreated, madeHook{v, made.Secret, made.PublicKey})
	}
	return err
}

// standingHook is a webhook with how it stands.
type standingHook struct {
	hook
	PublicKey string `json:"publicKey"`
	Position  uint64 `json:"position"`
	Head      uint64 `json:"head"`
	Behind    uint64 `json:"behind"`
	Parked    int    `json:"parked"`
	Dead      int    `json:"dead"`
	Again     int    `json:"replaying"`
	Dropped   uint64 `json:"deadDropped"` // numbers
	DroppedTo uint64 `json:"deadDroppedTo"`
}

// oneWebhook is GET /v1/webhooks/{id}.
func (a *API) oneWebhook(w http.ResponseWriter, r *http.Request) error {
	id, _, err := a.ownWebhook(r)
	if err != nil {
		return err
	}
	s, err := a.o.Webhooks.Standing(r.Context(), id)
	if err != nil {
		return err
	}
	v, err := a.showWebhook(r.Context(), s.Webhook)
	if err == nil {
		gateway.WriteJSON(w, http.StatusOK, standingHook{v, s.PublicKey, s.Position, s.Head, s.Behind(), s.Parked, s.Dead, s.Replaying, s.Dropped, s.DroppedTo})
	}
	return err
}

// changeWebhook is PATCH /v1/webhooks/{id}.
func (a *API) changeWebhook(w http.ResponseWriter, r *http.Request) error {
	id, by, err := a.ownWebhook(r)
	if err != nil {
		return err
	}
	_, c, err := readHook(w, r)
	if err != nil {
		return err
	}
	h, err := a.o.Webhooks.Change(r.Context(), by, id, c)
	if err != nil {
		return err
	}
	v, err := a.showWebhook(r.Context(), h)
	if err == nil {
		gateway.WriteJSON(w, http.StatusOK, v)
	}
	return err
}

// dropWebhook is DELETE /v1/webhooks/{id}.
func (a *API) dropWebhook(w http.ResponseWriter, r *http.Request) error {
	id, by, err := a.ownWebhook(r)
	if err == nil {
		err = a.o.Webhooks.Drop(r.Context(), by, id)
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// rotateWebhook is POST /v1/webhooks/{id}/rotate {overlap} → {secret, publicKey, oldUntil}.
func (a *API) rotateWebhook(w http.ResponseWriter, r *http.Request) error {
	id, by, err := a.ownWebhook(r)
	if err != nil {
		return err
	}
	in := struct {
		Overlap string `json:"overlap"`
	}{webhook.Overlap.String()}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	overlap, err := time.ParseDuration(in.Overlap)
	if err != nil {
		return status.Errorf(status.Invalid, "OVERLAP_INVALID", "overlap is %.40q, and no time from 0s to %v, such as 24h", in.Overlap, webhook.MaxOverlap)
	}
	ik, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	made, err := a.o.Webhooks.Rotate(r.Context(), by, id, overlap, string(ik))
	if err != nil {
		return err
	}
	gateway.WriteJSON(w, http.StatusOK, struct {
		Secret    string `json:"secret"`
		PublicKey string `json:"publicKey"`
		OldUntil  string `json:"oldUntil"`
	}{made.Secret, made.PublicKey, written(made.OldUntil)})
	return nil
}
