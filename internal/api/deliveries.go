package api

import (
	"net/http"
	"time"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/webhook"
)

// verdicts are the states of deliveries.
var verdicts = map[string]webhook.Verdict{
	"delivered": webhook.Taken, "failed": webhook.Failed, "refused": webhook.Refused, "gone": webhook.Gone,
}

var causes = map[webhook.Cause]string{
	webhook.Ordinary: "event", webhook.Late: "parked", webhook.Replayed: "replay", webhook.Tested: "test",
}

// delivery is one try as its owner sees it.
type delivery struct {
	ID       uint64          `json:"id"`
	Event    string          `json:"event"` // its id
	Name     string          `json:"name"`
	Seq      uint64          `json:"seq"`
	Cause    string          `json:"cause"`
	Attempt  int             `json:"attempt"`
	State    string          `json:"state"`
	Time     string          `json:"time"`
	Duration float64         `json:"duration"` // ms
	Error    string          `json:"error,omitempty"`
	Request  deliveryRequest `json:"request"`
	Answer   *deliveryAnswer `json:"answer"` // null: there was none
}

type deliveryRequest struct {
	Header map[string]string `json:"headers"`
	Body   *string           `json:"body,omitempty"`
}

type deliveryAnswer struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
}

func showDelivery(t webhook.Try) delivery {
	d := delivery{
		ID: t.ID, Event: t.Event, Name: t.Name, Seq: t.Seq, Cause: causes[t.Cause], Attempt: t.Attempt, Time: written(t.At),
		Duration: float64(t.Took.Round(time.Microsecond)) / float64(time.Millisecond), Error: t.Error, Request: deliveryRequest{Header: t.Header},
	}
	for name, v := range verdicts {
		if v == t.Verdict {
			d.State = name
		}
	}
	if t.Status != 0 {
		d.Answer = &deliveryAnswer{t.Status, t.Answer}
	}
	return d
}

// deliveries is GET /v1/webhooks/{id}/deliveries?before=&limit=&state= →
// {deliveries, next}, the newest first.
func (a *API) deliveries(w http.ResponseWriter, r *http.Request) error {
	id, _, err := a.ownWebhook(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	before, err := number("before", q.Get("before"), 0)
	if err != nil {
		return err
	}
	_, limit, err := page(r)
	if err != nil {
		return err
	}
	which := webhook.TryQuery{Before: before, Limit: limit}
	if state := q.Get("state"); state != "" {
		v, known := verdicts[state]
		if !known {
			return status.Errorf(status.Invalid, "STATE_UNKNOWN", "there is no state %.40q; there are delivered, failed, refused and gone", state)
		}
		which.Verdict = &v
	}
	list, err := a.o.Webhooks.Tries(r.Context(), id, which)
	if err != nil {
		return err
	}
	out, next := []delivery{}, uint64(0)
	for _, t := range list {
		out = append(out, showDelivery(t))
	}
	if len(list) == limit {
		next = list[len(list)-1].ID
	}
	gateway.WriteJSON(w, http.StatusOK, struct {
		Deliveries []delivery `json:"deliveries"`
		Next       uint64     `json:"next"`
	}{out, next})
	return nil
}

// oneDelivery is GET /v1/webhooks/{id}/deliveries/{delivery}: with the body.
func (a *API) oneDelivery(w http.ResponseWriter, r *http.Request) error {
	id, _, err := a.ownWebhook(r)
	if err != nil {
		return err
	}
	which, err := number("delivery", r.PathValue("delivery"), 0)
	if err != nil {
		return err
	}
	t, body, err := a.o.Webhooks.Try(r.Context(), id, which)
	if err != nil {
		return err
	}
	d := showDelivery(t)
	if body != nil {
		text := string(body)
		d.Request.Body = &text
	}
	gateway.WriteJSON(w, http.StatusOK, d)
	return nil
}

// keptEvents are events that were not taken, as their owner sees them.
type keptEvents struct {
	First  uint64 `json:"first"`
	Last   uint64 `json:"last"`
	Since  string `json:"since"`
	Tries  int    `json:"tries"`
	Next   string `json:"nextTry,omitempty"`
	Reason string `json:"reason"`
}

// keptOf is GET /v1/webhooks/{id}/dead?after=&limit= → {events, next}, and /parked.
func (a *API) keptOf(state webhook.State) gateway.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, _, err := a.ownWebhook(r)
		if err != nil {
			return err
		}
		after, limit, err := page(r)
		if err != nil {
			return err
		}
		list, err := a.o.Webhooks.Kept(r.Context(), id, state, after, limit)
		if err != nil {
			return err
		}
		out, next := []keptEvents{}, uint64(0)
		for _, k := range list {
			out = append(out, keptEvents{k.First, k.Last, written(k.Since), k.Tries, written(k.Next), k.Reason})
		}
		if len(list) == limit {
			next = list[len(list)-1].First
		}
		gateway.WriteJSON(w, http.StatusOK, struct {
			Events []keptEvents `json:"events"`
			Next   uint64       `json:"next"`
		}{out, next})
		return nil
	}
}

// replay is POST /v1/webhooks/{id}/replay {from, to | ids | dead} → 202 {events}.
func (a *API) replay(w http.ResponseWriter, r *http.Request) error {
	id, by, err := a.ownWebhook(r)
	if err != nil {
		return err
	}
	var in struct {
		From uint64   `json:"from"`
		To   uint64   `json:"to"`
		IDs  []string `json:"ids"`
		Dead bool     `json:"dead"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	n, err := a.o.Webhooks.Replay(r.Context(), by, id, webhook.Replay{From: in.From, To: in.To, IDs: in.IDs, Dead: in.Dead})
	if err == nil {
		gateway.WriteJSON(w, http.StatusAccepted, map[string]uint64{"events": n})
	}
	return err
}

// testWebhook is POST /v1/webhooks/{id}/test: what came back.
func (a *API) testWebhook(w http.ResponseWriter, r *http.Request) error {
	id, _, err := a.ownWebhook(r)
	if err != nil {
		return err
	}
	t, err := a.o.Webhooks.Test(r.Context(), id)
	if err == nil {
		gateway.WriteJSON(w, http.StatusOK, showDelivery(t))
	}
	return err
}
