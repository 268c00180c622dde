package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/webhook"
)

// hook is a webhook as the administrator sees it.
type hook struct {
	ID       uint64   `json:"id"`
	Instance string   `json:"instance"` // "": the one that gets every instance's events
	URL      string   `json:"url"`
	State    string   `json:"state"`  // on, held or off
	Events   []string `json:"events"` // null: all
	Created  string   `json:"created"`
	Updated  string   `json:"updated"`
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

func (a *API) showWebhook(ctx context.Context, h webhook.Webhook) (hook, error) {
	v := hook{
		ID: h.ID, URL: h.URL, State: "on", Events: h.Events, Created: written(h.Created), Updated: written(h.Updated), Error: h.Error,
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

// listWebhooks is GET /v1/webhooks?after=&limit= → {webhooks, next}.
func (a *API) listWebhooks(w http.ResponseWriter, r *http.Request) error {
	after, limit, err := page(r)
	if err != nil {
		return err
	}
	all, err := a.o.Webhooks.List(r.Context(), after, limit)
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

// rotateWebhook is POST /v1/webhooks/{id}/rotate → {secret}.
func (a *API) rotateWebhook(w http.ResponseWriter, r *http.Request) error {
	id, err := number("id", r.PathValue("id"), 0)
	if err != nil {
		return err
	}
	secret, err := a.o.Webhooks.Rotate(r.Context(), id)
	if err != nil {
		return err
	}
	gateway.WriteJSON(w, http.StatusOK, map[string]string{"secret": secret})
	return nil
}
