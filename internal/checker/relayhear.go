package checker

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// one is the size of a post that cannot hold more.
func one(*rand.Rand) int { return 1 }

// relayFrame is any frame of the server.
type relayFrame struct {
	Key, From, Type string
	Ref, Msg        string
	OK              bool
	Text            string // of what is carried
	Chat            relayMessage
	RoomID          string
	RoomData        struct{ ID string }
	Seq             uint64
	Epoch           string
}

type relayMessage struct{ ID, UserID, Type, Text string }

func readRelay(b []byte) (relayFrame, error) {
	var f relayFrame
	if err := json.Unmarshal(b, &f); err != nil || f.Type == "" {
		return f, &refused{what: fmt.Sprintf("not a frame of relay: %.200s", b)}
	}
	return f, nil
}

// friendly are the frames of what setup did.
var friendly = []string{"addfriend", "acceptfriend", "memberjoin"}

// decode reads a frame for a person.
func (r *relay) decode(p *person, b []byte) (frame, error) {
	f, err := readRelay(b)
	if err != nil {
		return frame{}, err
	}
	out := frame{seq: f.Seq, epoch: f.Epoch, id: f.Key}
	var text, room string
	carried := false
	switch {
	case f.Type == "sendmessage":
		text, room = f.Chat.Text, f.RoomData.ID
		if f.Chat.ID != f.Key || f.Chat.UserID != f.From || f.Chat.Type != "text" {
			r.found.add(Other, "%s got a frame whose message is another: %.300s", p.name, b)
		}
	case f.Type == relayType:
		text, room, carried = f.Text, f.RoomID, true
	case slices.Contains(friendly, f.Type):
		out.other = true
		return out, nil
	default:
		return frame{}, &refused{what: fmt.Sprintf("a frame that nobody asked for: %.200s", b)}
	}
	out.text = strings.TrimSuffix(text, ".")
	i, ok := parse(out.text)
	if !ok || text == out.text || i.publisher >= len(r.voices) {
		return out, nil // which the record finds strange
	}
	v := r.voices[i.publisher]
	if want := r.room(p, v); f.From != number(v.who) || carried != (v.speech == relayed || v.speech == relayedToGroup) || room != want {
		r.found.add(Other, "%s was told wrongly who said what where: %.300s", p.name, b)
	}
	return out, nil
}

func number(p *person) string { return strconv.FormatUint(p.id, 10) }

// room is the id of the room that a voice speaks in, as a person sees it.
func (r *relay) room(p *person, v *voice) string {
	switch {
	case v.speech == toGroup || v.speech == relayedToGroup:
		return r.group
	case v.speech == relayed:
		return "" // it names whom it is for
	case p == v.who:
		return number(p.friend)
	}
	return number(v.who)
}

// listener keeps the id of its sockets, and goes on at a position, or where the
// server knows that it is.
func (r *relay) listener(p *person, token string, n int) *receiver {
	m := manners(n)
	exact := n%2 == 0
	rec := p.ledger.record(fmt.Sprintf("relay receiver %d (%s)", n, p.name), fmt.Sprintf("user/%d", p.id))
	rec.loose = true
	c := newClient(r.base, m.slow)
	path := []string{"/?id=", "/socket?id="}[n/2%2] + url.QueryEscape(r.ids[token]) + "&devices=1&epoch=1"
	return r.receiver(rec, m, func(ctx context.Context) (source, error) {
		life, after := r.life(), ""
		switch {
		case exact:
			after = "&after=" + rec.position()
		case n%4 == 3:
			after = "&after=last"
		}
		ws, err := c.dial(ctx, path+after, rec.heard)
		if err != nil {
			return nil, err
		}
		rec.connected(rec.last, !exact, life)
		return &socket{ws: ws, decode: func(b []byte) (frame, error) { return r.decode(p, b) }, closed: c.close}, nil
	})
}

// position is where a record goes on.
func (r *record) position() string {
	at := strconv.FormatUint(r.last, 10)
	if r.epoch != "" {
		at = r.epoch + ":" + at
	}
	return url.QueryEscape(at)
}

// newcomer bootstraps before each connection, so that its sockets have a new id
// each time. That others of its logins do so has a number in its inbox, too.
func (r *relay) newcomer(p *person, token string, n int) *receiver {
	m := manners(n + 1)
	exact := n%2 == 0
	rec := p.ledger.record(fmt.Sprintf("relay newcomer %d (%s)", n, p.name), fmt.Sprintf("user/%d", p.id))
	rec.gaps = true
	c := newClient(r.base, m.slow)
	return r.receiver(rec, m, func(ctx context.Context) (source, error) {
		id, err := r.bootstrap(ctx, c, token)
		if err != nil {
			return nil, err
		}
		life, after := r.life(), "last"
		if exact {
			after = rec.position()
		}
		ws, err := c.dial(ctx, "/?id="+url.QueryEscape(id)+"&devices=1&epoch=1&after="+after, rec.heard)
		if err != nil {
			return nil, err
		}
		rec.connected(rec.last, !exact, life)
		return &socket{ws: ws, decode: func(b []byte) (frame, error) { return r.decode(p, b) }, closed: c.close}, nil
	})
}

// reader does as the dialect's own clients do: it bootstraps before each
// connection, reads what was said in the group since the newest message that it
// knows, and then hears the rest. What comes both ways has the same id.
func (r *relay) reader(p *person, token string) *receiver {
	rec := p.ledger.record("relay reader ("+p.name+")", "")
	rec.only = r.speaks(toGroup)
	c := newClient(r.base, false)
	known := map[string]bool{}
	return r.receiver(rec, manners(1), func(ctx context.Context) (source, error) {
		id, err := r.bootstrap(ctx, c, token)
		if err != nil {
			return nil, err
		}
		ms, err := r.read(ctx, p, "group/"+r.group, func(m relayMessage) bool { return known[m.ID] })
		if err != nil {
			return nil, err
		}
		ws, err := c.dial(ctx, "/?id="+url.QueryEscape(id)+"&devices=1", nil)
		if err != nil {
			return nil, err
		}
		rec.connected(0, false, r.life())
		var past []frame
		read := map[string]bool{} // just now: it may come over the socket, too
		for _, m := range ms {
			read[m.ID] = true
			if !known[m.ID] {
				known[m.ID] = true
				past = append(past, r.told(rec, m))
			}
		}
		s := &socket{ws: ws, closed: c.close, decode: func(b []byte) (frame, error) {
			f, err := r.decode(p, b)
			i, ok := parse(f.text)
			f.other = f.other || read[f.id] || ok && !rec.only(i) // or it is carried, and in no history
			known[f.id] = true
			return f, err
		}}
		return &sequel{past, s}, nil
	})
}

// sequel is a source of what was read, and then of what follows.
type sequel struct {
	past []frame
	source
}

func (s *sequel) next(ctx context.Context) (frame, error) {
	if len(s.past) == 0 {
		return s.source.next(ctx)
	}
	f := s.past[0]
	s.past = s.past[1:]
	return f, nil
}

// messenger listens on direct, which tells private messages, and the others in
// words or not at all.
func (r *relay) messenger(p *person, n int) *receiver {
	rec := r.direct.listener(p, p.listens[0], n, func(p *person, b []byte) (frame, error) {
		var f directFrame
		if err := json.Unmarshal(b, &f); err != nil || f.Type != 1 && f.Type != 2 && f.Type != 3 && f.Type != 5 {
			return frame{}, &refused{what: fmt.Sprintf("a frame that nobody asked for: %.200s", b)}
		}
		return frame{seq: f.Seq, epoch: f.Epoch, id: f.Data.ID, text: strings.TrimSuffix(f.Data.Message, "."), other: f.Type == 2 || f.Type == 3}, nil
	})
	rec.gaps, rec.only = true, r.speaks(toFriend)
	return rec
}

// speaks says whether an item was said in a way.
func (r *relay) speaks(in speech) func(item) bool {
	return func(i item) bool { return i.publisher < len(r.voices) && r.voices[i.publisher].speech == in }
}

// history reads what is kept: of the private chat by each of the two, of the
// group by all three. What is carried is in no history.
func (r *relay) history(ctx context.Context) error {
	for _, p := range r.people {
		if err := r.past(ctx, p, "group/"+r.group, toGroup); err != nil {
			return err
		}
		if p.friend == nil {
			continue
		}
		if err := r.past(ctx, p, "user/"+number(p.friend), toFriend); err != nil {
			return err
		}
	}
	return nil
}

func (r *relay) past(ctx context.Context, p *person, room string, of speech) error {
	rec := p.ledger.record(fmt.Sprintf("the history of %s as %s sees it", room, p.name), "")
	rec.only = r.speaks(of)
	defer rec.end()
	all, err := r.read(ctx, p, room, func(relayMessage) bool { return false })
	for _, m := range all {
		rec.take(r.told(rec, m))
	}
	return err
}

// told is a message of the past as a frame for a record.
func (r *relay) told(rec *record, m relayMessage) frame {
	f := frame{id: m.ID, text: strings.TrimSuffix(m.Text, ".")}
	if i, ok := parse(f.text); ok && rec.only(i) && m.UserID != number(r.voices[i.publisher].who) {
		r.found.add(Other, "%s was told that %s said %q", rec.name, m.UserID, m.Text)
	}
	return f
}

// read reads a room's history, the oldest first, back to the beginning or to a
// page with something that is known.
func (r *relay) read(ctx context.Context, p *person, room string, known func(relayMessage) bool) ([]relayMessage, error) {
	var all []relayMessage
	for before := ""; ; {
		var page struct {
			Data []relayMessage
			Next uint64
		}
		if err := r.client.insist(ctx, "GET", "/x/room/history/"+room+before, bearer(p.speaks), nil, &page); err != nil {
			return nil, err
		}
		slices.Reverse(page.Data) // of a page the oldest is first
		all = append(all, page.Data...)
		if page.Next == 0 || slices.ContainsFunc(page.Data, known) {
			break
		}
		next := fmt.Sprintf("?before=%d", page.Next)
		if len(page.Data) == 0 || next == before {
			r.found.add(Other, "the history of %s does not end: an empty page, or before %d again", room, page.Next)
			break
		}
		before = next
	}
	slices.Reverse(all)
	return all, nil
}
