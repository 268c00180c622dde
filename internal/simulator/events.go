package simulator

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// frame is any frame of the server that holds something kept, whatever the
// dialect.
type frame struct {
	Seq     uint64
	Epoch   string
	Kind    string
	ID, Key string
	Text    string
	Type    json.RawMessage
	Data    struct{ ID, Text, Message string }
}

// read is what a frame says.
func read(b []byte) (f frame, h heard, err error) {
	err = json.Unmarshal(b, &f)
	h = heard{seq: f.Seq, id: f.ID + f.Key + f.Data.ID, text: f.Text + f.Data.Text + f.Data.Message}
	return f, h, err
}

// decode takes a frame, and remembers the epoch.
func decode(r *receiver, b []byte) (heard, bool) {
	f, h, err := read(b)
	if err != nil {
		r.w.fail(other, "%s was sent what is no JSON: %.200q", r.name, b)
		return h, false
	}
	if f.Epoch != "" {
		r.epoch = f.Epoch
	}
	return h, h.seq > 0
}

// position is where a receiver goes on, as it stands in a query.
func (r *receiver) position() string {
	if r.epoch == "" {
		return fmt.Sprint(r.last)
	}
	return url.QueryEscape(fmt.Sprint(r.epoch, ":", r.last))
}

// truthBy reads everything as a receiver that begins at the beginning, on a
// server that is well.
func (l *ledger) truthBy(connect func(r *receiver) (*socket, error)) func() ([]heard, uint64, bool) {
	return func() (all []heard, from uint64, ok bool) {
		r := &receiver{party: l.w.party("the auditor of " + l.name), begun: true, exact: true}
		s, err := connect(r)
		if err != nil {
			l.w.fail(wholePast, "%s: what is kept cannot be read from its beginning: %v", l.name, err)
			return nil, 0, false
		}
		defer s.close()
		for {
			_ = s.client.SetReadDeadline(time.Now().Add(2 * time.Second))
			b, err := s.nextSoon()
			if err != nil {
				return all, 0, true
			}
			if h, ok := decode(r, b); ok {
				all = append(all, h)
			}
		}
	}
}

// populateEvents has events posted to the instance, and heard in each way.
func (w *world) populateEvents() {
	l := w.ledger("instance/" + instanceName)
	token := w.template.cast.token
	path := func(query string) string { return "/ws/events?event=*&epoch=1&token=" + url.QueryEscape(token) + query }
	exact := func(r *receiver) (*socket, error) {
		if r.begun {
			return r.upgrade(path("&after=" + r.position()))
		}
		return r.upgrade(path(""))
	}
	for i := range 3 {
		r := w.receiver(l, fmt.Sprint("events-", i))
		r.exact, r.decode, r.connect, r.steady = true, decode, exact, i == 0
	}
	named := w.receiver(l, "events-consumer")
	named.decode = decode
	named.connect = func(r *receiver) (*socket, error) { return r.upgrade(path("&after=last&consumer=sim")) }
	sse := w.receiver(l, "events-sse")
	sse.exact, sse.decode = true, decode
	sse.connect = func(r *receiver) (*socket, error) {
		header := []string{"Accept", "text/event-stream"}
		if r.begun {
			header = append(header, "Last-Event-ID", fmt.Sprint(r.epoch, ":", r.last))
		}
		return r.upgrade(path(""), header...)
	}
	l.truth = l.truthBy(exact)
	names := []string{"messages.upsert", "send.message", "contacts.update"}
	for i := range 2 {
		who := slices.Clone(w.template.cast.admin)
		if i == 1 {
			who = bearer(token)
		}
		w.poster(fmt.Sprint("emitter-", i), l, 1+4*i, func(p *party, key string, texts []string) ([]place, error) {
			var list []any
			for n, text := range texts {
				list = append(list, map[string]any{"event": names[n%len(names)], "data": map[string]string{"text": text}})
			}
			var out struct {
				Accepted []struct {
					ID  string
					Seq uint64
				}
			}
			err := p.call("POST", "/v1/instances/"+instanceName+"/events", append(who, "Idempotency-Key", key), list, &out)
			var places []place
			for _, a := range out.Accepted {
				places = append(places, place{a.ID, a.Seq})
			}
			return places, err
		})
	}
}

// populate makes who takes part in this run.
func (w *world) populate() {
	w.populateEvents()
}
