package checker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/coder/websocket"
)

// direct checks person to person: pairs of friends, who both speak and both
// listen, each with a login for speaking and one for each receiver.
type direct struct {
	*kit
	cast
	client *client
	pairs  [][2]*person
}

// person is an account.
type person struct {
	id      uint64
	name    string
	speaks  string   // a login's token
	listens []string // tokens, one for each receiver
	ledger  *ledger
	number  int // as a publisher
	friend  *person
}

const password = "a long enough password"

func newDirect(k *kit) *direct {
	return &direct{kit: k, cast: cast{found: &findings{name: "direct"}}, client: newClient(k.base, false)}
}

func (d *direct) said() *cast { return &d.cast }
func (d *direct) close()      { d.client.close() }

func (d *direct) setup(ctx context.Context) error {
	for i := range max(1, d.o.Publishers/2) {
		l := newLedger(d.found, fmt.Sprintf("pair %d", i))
		a := &person{ledger: l, name: fmt.Sprintf("person%d", 2*i), number: 2 * i}
		b := &person{ledger: l, name: fmt.Sprintf("person%d", 2*i+1), number: 2*i + 1}
		a.friend, b.friend = b, a
		d.ledgers = append(d.ledgers, l)
		d.pairs = append(d.pairs, [2]*person{a, b})
		for j, p := range []*person{a, b} {
			if err := d.account(ctx, p, (d.o.Subscribers+1-j)/2); err != nil {
				return err
			}
		}
		if err := d.befriend(ctx, a, b); err != nil {
			return err
		}
	}
	return nil
}

// befriend makes two people friends.
func (d *direct) befriend(ctx context.Context, a, b *person) error {
	ask := func(who, whom *person, does string) error {
		return d.client.insist(ctx, "POST", "/api/friends/"+does, bearer(who.speaks), map[string]uint64{"friend_id": whom.id}, nil)
	}
	if err := ask(a, b, "request"); err != nil {
		return err
	}
	return ask(b, a, "accept")
}

// account registers a person and makes its logins.
func (d *direct) account(ctx context.Context, p *person, listeners int) error {
	err := d.client.insist(ctx, "POST", "/api/register", nil, map[string]string{"email": p.email(), "username": p.name, "password": password}, nil)
	if err != nil {
		return err
	}
	if p.speaks, err = d.login(ctx, p); err != nil {
		return err
	}
	for range listeners {
		token, err := d.login(ctx, p)
		if err != nil {
			return err
		}
		p.listens = append(p.listens, token)
	}
	var me struct {
		Data struct {
			ID uint64 `json:"Id"`
		}
	}
	err = d.client.insist(ctx, "GET", "/api/user", bearer(p.speaks), nil, &me)
	p.id = me.Data.ID
	return err
}

func (p *person) email() string { return p.name + "@example.com" }

// login makes one more login, and returns its token.
func (d *direct) login(ctx context.Context, p *person) (string, error) {
	var in struct{ Data struct{ Token string } }
	err := d.client.insist(ctx, "POST", "/api/login", nil, map[string]string{"email": p.email(), "password": password}, &in)
	return in.Data.Token, err
}

func bearer(token string) [][2]string { return [][2]string{{"Authorization", "Bearer " + token}} }

func (d *direct) prepare() {
	n := 0
	for _, pair := range d.pairs {
		for _, p := range pair {
			for _, token := range p.listens {
				d.receivers = append(d.receivers, d.listener(p, token, n, d.decode))
				n++
			}
			d.publishers = append(d.publishers, d.speaker(p).run)
		}
	}
}

// speaker makes a publisher who sends messages with refs.
func (d *direct) speaker(p *person) *speaker {
	return &speaker{kit: d.kit, found: d.found, name: p.name, number: p.number, tongue: tongue{
		ordered: true,
		open: func(ctx context.Context, c *client) (*websocket.Conn, error) {
			return d.connect(ctx, c, p.speaks, "", nil)
		},
		say: func(i item) any {
			return map[string]any{"type": 0, "ref": ref(i), "data": map[string]any{"to": p.friend.id, "message": i.text()}}
		},
		hear: func(b []byte) (answer, bool, error) {
			var f directFrame
			if err := json.Unmarshal(b, &f); err != nil {
				return answer{}, false, &refused{what: "a frame that is not JSON: " + string(b)}
			}
			if f.Type == -1 && transient(f.Data.Code) {
				return answer{}, false, errNotStored
			}
			if f.Type == -1 {
				return answer{}, false, &refused{what: fmt.Sprintf("an ERROR for ref %q: %s (%s)", f.Data.Ref, f.Data.Message, f.Data.Code)}
			}
			return answer{f.Data.Ref, f.Data.ID}, f.Type == 4, nil
		},
		acked: func(i item, id string) { p.ledger.ack(i, ack{id: id}) },
	}}
}

// listener makes a receiver: most go on after the last id that they saw, the
// others where their login's last pong says.
func (d *direct) listener(p *person, token string, n int, decode func(*person, []byte) (frame, error)) *receiver {
	m := manners(n)
	byID := n%3 != 1
	rec := p.ledger.record(fmt.Sprintf("direct receiver %d (%s)", n, p.name), fmt.Sprintf("user/%d", p.id))
	rec.loose = true
	c := newClient(d.base, m.slow)
	return d.receiver(rec, m, func(ctx context.Context) (source, error) {
		life, after := d.life(), "last"
		switch {
		case byID && rec.lastID != "":
			after = rec.lastID
		case byID:
			after = "0"
		}
		ws, err := d.connect(ctx, c, token, "&devices=1&epoch=1&after="+url.QueryEscape(after), rec.heard)
		if err != nil {
			return nil, err
		}
		rec.connected(rec.lastAt, !byID, life)
		return &socket{ws: ws, decode: func(b []byte) (frame, error) { return decode(p, b) }, closed: c.close}, nil
	})
}

// connect gets a code and opens a WebSocket with it. A code that was made by a
// server killed since may be refused; a new one may not.
func (d *direct) connect(ctx context.Context, c *client, token, query string, ping func(string)) (*websocket.Conn, error) {
	for try := 1; ; try++ {
		var in struct {
			Data struct {
				Code string `json:"websocketAuthCode"`
			}
		}
		if err := c.call(ctx, "GET", "/ws/auth", bearer(token), nil, &in); err != nil {
			return nil, err
		}
		ws, err := c.dial(ctx, "/ws/connect?auth="+url.QueryEscape(in.Data.Code)+query, ping)
		var no *refused
		if errors.As(err, &no) && no.status == 401 && try < 3 {
			continue
		}
		return ws, err
	}
}

// directFrame is any frame of the server.
type directFrame struct {
	Type int `json:"type"`
	Data struct {
		From, To uint64
		Message  string
		ID, Ref  string
		Code     string
	} `json:"data"`
	Seq   uint64 `json:"seq"`
	Epoch string `json:"epoch"`
}

func (d *direct) decode(p *person, b []byte) (frame, error) {
	var f directFrame
	if err := json.Unmarshal(b, &f); err != nil {
		return frame{}, &refused{what: "a frame that is not JSON: " + string(b)}
	}
	out := frame{seq: f.Seq, epoch: f.Epoch, id: f.Data.ID, text: f.Data.Message}
	switch f.Type {
	case 1, 5:
		if i, ok := parse(out.text); ok {
			mine := i.publisher == p.number
			switch friend := p.friend.id; {
			case f.Type == 1 && (mine || f.Data.From != friend), f.Type == 5 && (!mine || f.Data.To != friend):
				d.found.add(Other, "%s was told wrongly who said what to whom: %.200s", p.name, b)
			}
		}
		return out, nil
	case 2, 3:
		out.other = true
		return out, nil
	}
	return frame{}, &refused{what: "a frame that nobody asked for: " + string(b)}
}

// history reads what is kept of each conversation, by each of the two.
func (d *direct) history(ctx context.Context) error {
	for _, pair := range d.pairs {
		for _, p := range pair {
			if err := d.past(ctx, p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *direct) past(ctx context.Context, p *person) error {
	rec := p.ledger.record("the history of "+p.name, "")
	defer rec.end()
	var all []frame
	for cursor := uint64(0); ; {
		var page struct {
			Data struct {
				Message []struct {
					ID, Content string
					UserID      uint64
				}
				Next uint64 `json:"next_cursor"`
			}
		}
		if err := d.client.insist(ctx, "GET", fmt.Sprintf("/api/message?to=%d&cursor=%d", p.friend.id, cursor), bearer(p.speaks), nil, &page); err != nil {
			return err
		}
		for _, m := range page.Data.Message {
			if i, ok := parse(m.Content); ok && (i.publisher == p.number) != (m.UserID == p.id) {
				d.found.add(Other, "the history of %s says that %d said %q", p.name, m.UserID, m.Content)
			}
			all = append(all, frame{id: m.ID, text: m.Content})
		}
		if page.Data.Next == 0 {
			break
		}
		if len(page.Data.Message) == 0 || page.Data.Next == cursor {
			d.found.add(Other, "the history of %s does not end: an empty page, or the cursor %d again", p.name, cursor)
			break
		}
		cursor = page.Data.Next
	}
	slices.Reverse(all) // pages are newest first
	for _, f := range all {
		rec.take(f)
	}
	return nil
}
