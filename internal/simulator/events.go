package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"time"
)

// frame is any frame of the server that holds something kept, whatever the
// dialect.
type frame struct {
	Seq     uint64
	Epoch   string
	Kind    string
	Event   string
	ID, Key string
	Text    string
	Type    json.RawMessage
	Data    struct {
		ID, Text, Message string
		Subject, Reason   string // of lifecycle events
		Number            uint64
	}
	Chat struct{ Text string } // of relay
}

// read is what a frame says.
func read(b []byte) (f frame, h heard, err error) {
	err = json.Unmarshal(b, &f)
	h = heard{seq: f.Seq, id: f.ID + f.Key + f.Data.ID, text: f.Text + f.Data.Text + f.Data.Message + f.Chat.Text + about(&f)}
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

// position is where a receiver goes on, as it stands in a query or a header.
func (r *receiver) position() string {
	if r.epoch == "" {
		return strconv.FormatUint(r.last, 10)
	}
	return fmt.Sprint(r.epoch, ":", r.last)
}

// truthBy reads everything as a receiver that begins at the beginning, on a
// server that is well.
func (l *ledger) truthBy(connect func(r *receiver) (*socket, error)) func() ([]heard, uint64, bool) {
	return func() (all []heard, from uint64, ok bool) {
		r := &receiver{party: l.w.party("the auditor of " + l.name), begun: true, exact: true}
		s, err := connect(r)
		var no *refused
		if errors.As(err, &no) && no.gone("expired") { // it begins later
			r.last = uint64(sort.Search(int(no.head()), func(n int) bool {
				r.last = uint64(n)
				s, err := connect(r)
				if err == nil {
					s.close()
				}
				return err == nil
			}))
			s, err = connect(r)
		}
		if err != nil {
			l.w.fail(wholePast, "%s: what is kept cannot be read from its beginning: %v", l.name, err)
			return nil, 0, false
		}
		defer s.close()
		for {
			_ = s.client.SetReadDeadline(time.Now().Add(2 * time.Second))
			b, err := s.nextSoon()
			if err != nil {
				return all, r.last, true
			}
			if h, ok := decode(r, b); ok {
				all = append(all, h)
			}
		}
	}
}

// instance has the events of one heard, in each way.
func (w *world) instance(name, token string) *ledger {
	l := w.ledger("instance-" + name)
	path := func(query string) string { return "/ws/events?event=*&epoch=1&token=" + url.QueryEscape(token) + query }
	exact := func(r *receiver) (*socket, error) {
		if r.begun {
			return r.upgrade(path("&after=" + r.position()))
		}
		return r.upgrade(path(""))
	}
	for _, kind := range []string{"steady", "rough", "straying"} {
		r := w.receiver(l, "events-"+kind)
		r.exact, r.decode, r.connect = true, decode, exact
		r.steady, r.strays = kind == "steady", kind == "straying"
	}
	named := w.receiver(l, l.name+"-leaving")
	named.decode = decode
	named.connect = func(r *receiver) (*socket, error) { return r.upgrade(path("&after=last&consumer=sim")) }
	sse := w.receiver(l, l.name+"-sse")
	sse.exact, sse.decode = true, decode
	sse.connect = func(r *receiver) (*socket, error) {
		header := []string{"Accept", "text/event-stream"}
		if r.begun {
			header = append(header, "Last-Event-ID", r.position())
		}
		return r.upgrade(path(""), header...)
	}
	l.truth = l.truthBy(exact)
	return l
}

// populateEvents has events posted to an instance.
func (w *world) populateEvents() *ledger {
	token := w.template.cast.token
	l := w.instance(instanceName, token)
	l.dense, l.past = true, pastSaid
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
	return l
}

// populate makes who takes part in this run: some of all, so that a run is
// short, and each meets each.
func (w *world) populate() {
	p := w.party("populace")
	parts := p.random.Perm(5)
	for _, part := range parts[:1+p.random.IntN(2)] {
		switch part {
		case 0:
			w.populateHook(w.populateEvents())
		case 1:
			w.populateBot()
		case 2:
			w.populateFeed()
		case 3:
			w.populatePeople()
		case 4:
			w.populateLifecycle()
		}
	}
	if p.chance(40) {
		w.populateMortals()
	}
	if p.chance(30) {
		w.populateStrangers()
	}
}
