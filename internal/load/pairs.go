package load

import (
	"context"
	"fmt"
	"strings"

	"github.com/coder/websocket"
)

// tongue is what direct and relay have of their own.
type tongue interface {
	dial(ctx context.Context, c *client) (*websocket.Conn, error)
	// frame is a message to a person. Its ref is the message's head.
	frame(to *person, ref, text []byte) []byte
	// kind tells what a frame of the server is.
	kind(frame []byte) kind
}

type kind int

const (
	other    kind = iota
	arrival       // a message
	ackFrame      // an answer to one
	errFrame      // a refusal of one
)

// pairs is the load of direct and relay: people who are friends in pairs, all
// connected, and each in turn says something to the other one.
type pairs struct {
	*run
	tongue tongue
}

func (p *pairs) setup(ctx context.Context) (counted, more []*client, err error) {
	all, err := p.people(ctx, p.o.Clients/2*2)
	if err != nil {
		return nil, nil, err
	}
	var firsts []*person
	friend := map[*person]*person{}
	for i := 0; i < len(all); i += 2 {
		firsts, friend[all[i]] = append(firsts, all[i]), all[i+1]
		a, b := &client{person: all[i]}, &client{person: all[i+1]}
		a.partner, b.partner = b, a
		counted = append(counted, a, b)
	}
	p.step("making friends", len(firsts))
	p.undo = append(p.undo, undo{what: "what they said", stays: "what they said to each other, in their histories"})
	return counted, nil, p.each(ctx, firsts, func(ctx context.Context, a *person) error { return p.befriend(ctx, a, friend[a]) })
}

// befriend makes two people friends, who may be from an earlier run.
func (p *pairs) befriend(ctx context.Context, a, b *person) error {
	for _, ask := range [][2]*person{{a, b}, {b, a}} {
		err := p.server.call(ctx, "POST", "/api/friends/request", asBearer(ask[0].token), object{"friend_id": ask[1].id}, nil)
		if no := refused(err); no != nil && (strings.Contains(no.words, "Already friend") || strings.Contains(no.words, "duplicated")) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s and %s cannot be made friends: %w", a.name, b.name, err)
		}
	}
	return nil
}

func (p *pairs) dial(ctx context.Context, c *client) (*websocket.Conn, error) {
	return p.tongue.dial(ctx, c)
}

func (p *pairs) senders() (count, batch int) { return 32, 1 }
func (p *pairs) hearers(int) int             { return 1 }

func (p *pairs) say(ctx context.Context, _ int, due []message) {
	for _, m := range due {
		c := p.speaking[m.n%len(p.speaking)]
		p.write(ctx, c, p.tongue.frame(c.partner.person, p.head(m), p.text(m)))
	}
}

func (p *pairs) hear(c *client, frame []byte) {
	switch p.tongue.kind(frame) {
	case arrival:
		p.heard(c, frame)
	case ackFrame:
		now := p.now()
		if m, ok := p.find(frame); ok {
			p.tally.acknowledged(m, now)
		}
	case errFrame:
		p.tally.notTaken(words(frame), 1)
	case other: // what friends are told of each other
	}
}
