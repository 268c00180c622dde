package simulator

import (
	"encoding/json"
	"fmt"
)

// feedKept is how many lines the feed keeps, as cmd/kabar sets it for its runs.
const feedKept = 20

// populateFeed has lines spoken over a socket and by HTTP, and heard by anybody
// and by an account.
func (w *world) populateFeed() {
	c := &w.template.cast
	l := w.ledger("feed")
	l.kept = feedKept
	l.dense, l.past = true, pastSaid
	const path = "/websocket?format=json&epoch=1"
	exact := func(r *receiver) (*socket, error) {
		if r.begun {
			return r.upgrade(path + "&after=" + r.position())
		}
		return r.upgrade(path)
	}
	for _, kind := range []string{"steady", "rough", "straying"} {
		r := w.receiver(l, "feed-"+kind)
		r.exact, r.decode, r.connect = true, decode, exact
		r.steady, r.strays = kind == "steady", kind == "straying"
	}
	r := w.receiver(l, "feed-leaving")
	r.decode = decode
	r.connect = func(r *receiver) (*socket, error) {
		after := "&after=last"
		if r.gone {
			after = ""
		}
		return r.upgrade(path+after, bearer(c.people[0].logins[leaves].token)...)
	}
	l.truth = w.feedTruth
	w.poster("announcer", l, 1, func(p *party, key string, texts []string) ([]place, error) {
		var out struct {
			ID  string
			Seq uint64
		}
		err := p.call("POST", "/v1/publish", append(append([]string{}, c.admin...), "Idempotency-Key", key), map[string]string{"topic": "feed", "text": texts[0]}, &out)
		return []place{{out.ID, out.Seq}}, err
	})
	s := w.speaker("talker", l)
	s.once = true
	s.connect = func(p *party) (*socket, error) {
		return p.upgrade("/websocket?format=json&acks=1", bearer(c.people[1].logins[speaks].token)...)
	}
	s.say = func(_, text string) any { return text }
	s.hear = func(b []byte) answer {
		var f struct {
			Kind, ID, Code string
			Line           int
			Seq            uint64
		}
		_ = json.Unmarshal(b, &f)
		switch f.Kind {
		case "ack":
			return answer{line: f.Line, at: place{f.ID, f.Seq}}
		case "error":
			return answer{line: f.Line, err: string(b)}
		}
		return answer{}
	}
}

// feedTruth is all of the feed that is kept.
func (w *world) feedTruth() (all []heard, from uint64, ok bool) {
	p := w.party("the auditor of the feed")
	for first := true; ; first = false {
		var page struct {
			Messages []struct {
				ID   string
				Seq  uint64
				Data struct{ Text string }
			}
			Head uint64
		}
		query := "?limit=1000"
		if !first {
			query += fmt.Sprint("&before=", all[0].seq)
		}
		if !p.insist("GET", "/v1/topics/feed/messages"+query, w.template.cast.admin, nil, &page) {
			return nil, 0, false
		}
		var some []heard
		for _, m := range page.Messages {
			some = append(some, heard{seq: m.Seq, id: m.ID, text: m.Data.Text})
		}
		all = append(some, all...)
		if len(some) == 0 || all[0].seq == 1 {
			break
		}
	}
	if len(all) > 0 {
		from = all[0].seq - 1
	}
	return all, from, true
}
