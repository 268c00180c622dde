package checker

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// bot checks processes, made by HTTP. One answers frames: it publishes what it
// is sent to its endpoint, notifies an instance of it, and replies; the reply
// says that all of that is stored. Two hear an instance's events, and notify
// another instance of each: one at once, one after it has asked another host.
type bot struct {
	*kit
	cast
	client *client
	tokens []string // of logins: first the speakers', then the listeners'
	asked  *asked

	told   *emitter // what was said in frames
	first  *emitter
	second *emitter // what came of first
	third  *emitter // what came of first, after a call
}

const (
	botURL = "/checker/echo"
	// What is heard is followed event by event, and must keep up.
	firstPause = 100 * time.Millisecond
	burst      = 60 // events in a post, so that a process has many before it
	burstPause = 2 * time.Second
)

func newBot(k *kit) *bot {
	b := &bot{kit: k, cast: cast{found: &findings{name: "bot"}}, client: newClient(k.base, false)}
	b.note = func() string {
		if b.asked == nil {
			return ""
		}
		calls, again := b.asked.tally()
		return fmt.Sprintf("a process made %d calls, %d of them again", calls, again)
	}
	return b
}

func (b *bot) said() *cast { return &b.cast }

func (b *bot) close() {
	b.client.close()
	if b.asked != nil {
		b.asked.close()
	}
}

func (b *bot) setup(ctx context.Context) error {
	for _, in := range []struct {
		to   **emitter
		name string
		made bool // of what was acknowledged elsewhere
	}{{&b.told, "bot-said", true}, {&b.first, "bot-first", false}, {&b.second, "bot-second", true}, {&b.third, "bot-third", true}} {
		l := newLedger(b.found, "instance/"+in.name)
		l.other = in.made
		b.ledgers = append(b.ledgers, l)
		var err error
		if *in.to, err = b.emitter(ctx, b.client, in.name, l); err != nil {
			return err
		}
	}
	var err error
	if b.asked, err = newAsked(ctx, b.found, b.random()); err != nil {
		return err
	}
	if err := b.processes(ctx); err != nil {
		return err
	}
	for n := range b.speakers() + b.o.Subscribers {
		name := fmt.Sprintf("bot%d", n)
		who := map[string]string{"email": name + "@example.com", "username": name, "password": password}
		if err := b.client.insist(ctx, "POST", "/api/register", nil, who, nil); err != nil {
			return err
		}
		var in struct{ Token string }
		if err := b.client.insist(ctx, "POST", "/auth", nil, map[string]string{"login": name, "password": password}, &in); err != nil {
			return err
		}
		b.tokens = append(b.tokens, in.Token)
	}
	return nil
}

// speakers is how many publishers send frames; the others post events.
func (b *bot) speakers() int {
	return (b.o.Publishers + 1) / 2 * b.o.many(16)
}

// processes makes the processes, and the endpoint of one.
func (b *bot) processes(ctx context.Context) error {
	type object = map[string]any
	notify := func(e *emitter, text string) object {
		return object{"instance": e.name, "event": eventNames[0], "data": object{"text": text}}
	}
	admin := [][2]string{{"apikey", b.key}}
	for name, d := range map[string]object{
		"checker-echo": {
			"inputs": object{"text": "string"}, "outputs": object{"text": "string"},
			"rules": []object{
				{"publish": object{"text": "text"}, "notify": notify(b.told, "text"), "reply": object{"text": "text"}},
				{"on": "message", "reply": object{"text": "message.text"}},
			},
		},
		"checker-passing": {
			"instances": []string{b.first.name},
			"rules":     []object{{"on": "event", "notify": notify(b.second, "event.data.text")}},
		},
		"checker-asking": {
			"instances": []string{b.first.name},
			"rules": []object{{
				"on": "event", "call": object{"url": b.asked.url, "body": object{"text": "event.data.text"}},
				"notify": notify(b.third, "answer.text"),
			}},
		},
	} {
		d["process"] = name
		if err := b.client.insist(ctx, "PUT", "/v1/processes/"+name, admin, d, nil); err != nil {
			return err
		}
		if err := b.client.insist(ctx, "POST", "/v1/processes/"+name+"/publish", admin, object{}, nil); err != nil {
			return err
		}
	}
	var made struct{ Secret string }
	if err := b.client.insist(ctx, "GET", "/v1/processes/checker-asking", admin, nil, &made); err != nil {
		return err
	}
	var err error
	if b.asked.key, err = webhookKey(made.Secret); err != nil {
		return err
	}
	return b.client.insist(ctx, "PUT", "/v1/endpoints"+botURL, admin, object{"process": "checker-echo", "access": "users"}, nil)
}

func (b *bot) prepare() {
	for n := range b.o.Subscribers {
		for _, e := range []*emitter{b.told, b.first, b.second, b.third} {
			if e == b.first && n > 0 {
				continue // the events gateway has more of those
			}
			consumer := ""
			if n%2 == 1 {
				consumer = fmt.Sprintf("consumer%d", n)
			}
			b.receivers = append(b.receivers, e.subscriber(fmt.Sprintf("subscriber %d of %s", n, e.name), manners(n), consumer))
		}
	}
	for n := range b.o.Subscribers {
		b.receivers = append(b.receivers, b.listener(n))
	}
	for n := range b.speakers() + b.o.Publishers/2 {
		if n < b.speakers() {
			b.publishers = append(b.publishers, b.speaker(n).run)
			continue
		}
		p := b.first.post(n, func(r *rand.Rand) int { return 1 + r.IntN(3) })
		every := b.o.many(3) // there is more beside it
		if p.pause = time.Duration(every) * firstPause; n%2 == 1 {
			p.size, p.pause = func(*rand.Rand) int { return burst }, time.Duration(every)*burstPause
		}
		p.acked = acks(b.first.ledger, b.second.ledger, b.third.ledger)
		b.publishers = append(b.publishers, p.publisher(b.kit))
	}
}

// open connects to the endpoint, with the cookie as pages do, or the token.
func (b *bot) open(ctx context.Context, c *client, n int) (*websocket.Conn, error) {
	c.header = http.Header{"Authorization": {"Bearer " + b.tokens[n]}}
	if n%2 == 0 {
		c.header = http.Header{"Cookie": {"gen_app_auth_token=" + url.QueryEscape(b.tokens[n])}}
	}
	return c.dial(ctx, botURL, nil)
}

// botFrame is any frame of the server.
type botFrame struct {
	ID    *string         `json:"$id"`
	Push  bool            `json:"$push"`
	Text  *string         `json:"text"`
	Error json.RawMessage `json:"error"`
}

func readBot(raw []byte) (botFrame, error) {
	var f botFrame
	if err := json.Unmarshal(raw, &f); err != nil || f.Text == nil || f.Error != nil || f.Push == (f.ID != nil) {
		return f, &refused{what: fmt.Sprintf("neither an answer nor a push: %.200s", raw)}
	}
	return f, nil
}

// speaker sends frames. The dialect has no way to say a thing once, so what was
// not answered may have been done or not.
func (b *bot) speaker(n int) *speaker {
	return &speaker{kit: b.kit, found: b.found, name: fmt.Sprintf("bot%d", n), number: n, tongue: tongue{
		ordered: true, once: true,
		open: func(ctx context.Context, c *client) (*websocket.Conn, error) { return b.open(ctx, c, n) },
		say:  func(i item) any { return map[string]string{"text": i.text(), "$id": ref(i)} },
		hear: func(raw []byte) (answer, bool, error) {
			f, err := readBot(raw)
			if b.o.has(diskFull) && strings.Contains(string(f.Error), `"PROCESS_FAILED"`) || strings.Contains(string(f.Error), `"NOT_STORED"`) || strings.Contains(string(f.Error), `"DISK_`) {
				return answer{}, false, errNotStored
			}
			if err != nil || f.Push {
				return answer{}, false, err
			}
			if i, ok := parse(*f.Text); !ok || i.publisher != n || ref(i) != *f.ID {
				b.found.add(Swapped, "bot%d got for %s the answer %q", n, *f.ID, *f.Text)
			}
			return answer{ref: *f.ID}, true, nil
		},
		acked: func(i item, _ string) { b.told.ledger.ack(i, ack{}) },
	}}
}

// listener hears pushes: what others say while it is connected.
func (b *bot) listener(n int) *receiver {
	rec := b.told.ledger.record(fmt.Sprintf("listener %d at the endpoint", n), "")
	rec.live = true
	m := manners(n)
	c := newClient(b.base, m.slow)
	return b.receiver(rec, m, func(ctx context.Context) (source, error) {
		ws, err := b.open(ctx, c, b.speakers()+n)
		if err != nil {
			return nil, err
		}
		rec.connected(0, false, b.life())
		return &socket{ws: ws, closed: c.close, decode: func(raw []byte) (frame, error) {
			f, err := readBot(raw)
			if err == nil && !f.Push {
				err = &refused{what: fmt.Sprintf("an answer that nobody asked for: %.200s", raw)}
			}
			if err != nil {
				return frame{}, err
			}
			return frame{text: *f.Text}, nil
		}}, nil
	})
}

// history reads what is kept of the instances, and of the endpoint's topic.
func (b *bot) history(ctx context.Context) error {
	all := []*emitter{b.told, b.first, b.second, b.third}
	if err := together(all, func(e *emitter) error { return e.history(ctx) }); err != nil {
		return err
	}
	topic := "bot" + botURL
	rec := b.told.ledger.record("the history of "+topic, topic)
	defer rec.end()
	rec.connected(0, false, b.life())
	for {
		var page struct {
			Messages []struct {
				ID   string
				Seq  uint64
				Data struct{ Text string }
			}
			Epoch string
		}
		path := fmt.Sprintf("/v1/topics/%s/messages?after=%d&limit=1000", topic, rec.last)
		if err := b.client.insist(ctx, "GET", path, [][2]string{{"apikey", b.key}}, nil, &page); err != nil {
			return err
		}
		for _, m := range page.Messages {
			rec.take(frame{seq: m.Seq, epoch: page.Epoch, id: m.ID, text: m.Data.Text})
		}
		if len(page.Messages) == 0 {
			return nil
		}
	}
}
