package simulator

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
)

// What each login of a person is for.
const (
	speaks = iota
	knows  // listens, and knows where it is
	leaves // listens, and leaves that to the server
	goes   // is logged out
	compares
	spare
)

// code is direct's way in.
func (p *party) code(token, query string) (*socket, error) {
	var in struct {
		Data struct {
			Code string `json:"websocketAuthCode"`
		}
	}
	if err := p.call("GET", "/ws/auth", bearer(token), nil, &in); err != nil {
		return nil, err
	}
	s, err := p.upgrade("/ws/connect?auth=" + url.QueryEscape(in.Data.Code) + query)
	if no, is := err.(*refused); is && no.status == 401 { //nolint:errorlint // as upgrade returns it
		return nil, fmt.Errorf("the code was of a server that is no more: %s", no.body)
	}
	return s, err
}

// listeners makes those who hear a topic through one dialect, one of whom the
// server remembers.
func (l *ledger) listeners(w *world, recalls uint64, connect func(p *party, which int, after string) (*socket, error)) {
	l.past = pastSaid
	exact := func(r *receiver) (*socket, error) {
		switch {
		case r.gone:
			return connect(r.party, knows, "")
		case !r.begun:
			return connect(r.party, knows, "0")
		}
		return connect(r.party, knows, r.position())
	}
	for _, kind := range []string{"steady", "rough", "straying"} {
		r := w.receiver(l, l.name+"-"+kind)
		r.exact, r.decode, r.connect = true, decode, exact
		r.steady, r.strays = kind == "steady", kind == "straying"
	}
	r := w.receiver(l, l.name+"-leaving")
	r.decode, r.recalls = decode, recalls
	r.connect = func(r *receiver) (*socket, error) { return connect(r.party, leaves, "last") }
	l.truth = l.truthBy(func(r *receiver) (*socket, error) { return connect(r.party, compares, r.position()) })
}

// populatePeople has two friends talk by direct and by relay, and both listen
// in both dialects.
func (w *world) populatePeople() {
	c := &w.template.cast
	var direct, relay [2]*ledger
	for i := range c.people {
		who := &c.people[i]
		direct[i] = w.ledger("direct-" + who.name)
		direct[i].listeners(w, who.head, func(p *party, which int, after string) (*socket, error) {
			return p.code(who.logins[which].token, "&devices=1&epoch=1&after="+after)
		})
		relay[i] = w.ledger("relay-" + who.name)
		relay[i].listeners(w, who.head, func(p *party, which int, after string) (*socket, error) {
			return p.upgrade("/?id=" + url.QueryEscape(who.logins[which].socket) + "&devices=1&notices=1&epoch=1&after=" + after)
		})
	}
	peace, member := w.populateGates()
	for i := range c.people {
		me, friend := &c.people[i], &c.people[1-i]
		s := w.speaker("speaker-"+me.name, direct[0], direct[1], relay[0], relay[1])
		s.gates = []*gate{peace}
		s.connect = func(p *party) (*socket, error) { return p.code(me.logins[speaks].token, "") }
		s.say = func(ref, text string) any {
			return map[string]any{"type": 0, "ref": ref, "data": map[string]any{"to": friend.id, "message": text}}
		}
		s.hear = func(b []byte) answer {
			var f struct {
				Type int
				Data struct{ Ref, ID, Code string }
			}
			_ = json.Unmarshal(b, &f)
			switch f.Type {
			case 4:
				return answer{ref: f.Data.Ref, at: place{id: f.Data.ID}}
			case -1:
				return answer{ref: f.Data.Ref, err: string(b), bar: f.Data.Code == "NOT_FRIENDS"}
			}
			return answer{}
		}
		w.carrier("carrier-"+me.name, me, map[string]any{"to": strconv.FormatUint(friend.id, 10)}, relay[1-i], peace)
	}
	w.carrier("herald", &c.people[0], map[string]any{"roomid": c.group.id, "roomtype": "group"}, relay[1], peace, member)
}

// hearRelay is what relay answers.
func hearRelay(b []byte) answer {
	var f struct {
		Type, Ref, Key, Msg string
		OK                  bool
	}
	_ = json.Unmarshal(b, &f)
	switch {
	case f.Type != "ack":
		return answer{}
	case !f.OK:
		return answer{ref: f.Ref, err: f.Msg, bar: f.Msg == "NOT_FRIENDS" || f.Msg == "BLOCKED" || f.Msg == "BLOCKING"}
	}
	return answer{ref: f.Ref, at: place{id: f.Key}}
}
