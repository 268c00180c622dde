package checker

import (
	"context"
	"fmt"
	"strconv"

	"github.com/coder/websocket"
)

// relay checks typed messages: two friends and a third, all three of one group,
// who say things by HTTP and by frames of their own types, and listen on relay's
// sockets and on direct's. What is accounted is what each person is to hear.
type relay struct {
	*kit
	cast
	direct *direct // makes accounts, and listens in another dialect
	client *client
	people [3]*person        // the first two are friends
	voices []*voice          // by publisher
	group  string            // its id
	ids    map[string]string // of sockets, by login; filled by setup
}

// manner of speaking: what a voice does with its messages.
type speech int

const (
	toFriend       speech = iota // POST to the friend
	relayed                      // frames of its own type, to the friend
	relayedToGroup               // the same, to the group
	toGroup                      // POST to the group
	speeches
)

// voice is a publisher: a login that speaks in one way.
type voice struct {
	who    *person
	token  string
	speech speech
}

func newRelay(k *kit) *relay {
	r := &relay{kit: k, cast: cast{found: &findings{name: "relay"}}, direct: newDirect(k), client: newClient(k.base, false), ids: map[string]string{}}
	r.direct.found = r.found
	return r
}

func (r *relay) said() *cast { return &r.cast }

func (r *relay) close() {
	r.client.close()
	r.direct.close()
}

func (r *relay) setup(ctx context.Context) error {
	for i, listeners := range []int{r.o.Subscribers/2 + 2, r.o.Subscribers/2 + 2, max(1, r.o.Subscribers/2) + 1} {
		name := fmt.Sprintf("member%d", i)
		p := &person{name: name, number: i, ledger: newLedger(r.found, name)}
		r.people[i], r.ledgers = p, append(r.ledgers, p.ledger)
		if err := r.direct.account(ctx, p, listeners); err != nil {
			return err
		}
	}
	a, b, c := r.people[0], r.people[1], r.people[2]
	a.friend, b.friend = b, a
	if err := r.direct.befriend(ctx, a, b); err != nil {
		return err
	}
	if err := r.assemble(ctx); err != nil {
		return err
	}
	who := [speeches][2]*person{toFriend: {a, b}, relayed: {b, a}, relayedToGroup: {c, a}, toGroup: {a, c}}
	for n := range r.o.Publishers * r.o.many(3) {
		v := &voice{speech: speech(n) % speeches}
		v.who = who[v.speech][n/int(speeches)%2]
		token, err := r.direct.login(ctx, v.who)
		if err != nil {
			return err
		}
		v.token = token
		r.voices = append(r.voices, v)
		if err := r.remember(ctx, token); err != nil {
			return err
		}
	}
	for _, p := range r.people[:2] {
		for _, token := range p.listens[1:] { // the first is messenger's
			if err := r.remember(ctx, token); err != nil {
				return err
			}
		}
	}
	return nil
}

// remember bootstraps a login once, and keeps the id of its sockets.
func (r *relay) remember(ctx context.Context, token string) (err error) {
	r.ids[token], err = r.bootstrap(ctx, r.client, token)
	return err
}

// assemble makes the group.
func (r *relay) assemble(ctx context.Context) error {
	var made struct {
		Data struct {
			RoomID string
			Group  struct{ R struct{ Link string } }
		}
	}
	err := r.client.insist(ctx, "POST", "/x/group/create", bearer(r.people[0].speaks), map[string]string{"name": "checkers"}, &made)
	if err != nil {
		return err
	}
	r.group = made.Data.RoomID
	for _, p := range r.people[1:] {
		body := map[string]string{"link": made.Data.Group.R.Link}
		if err := r.client.insist(ctx, "POST", "/x/group/join/"+r.group, bearer(p.speaks), body, nil); err != nil {
			return err
		}
	}
	return nil
}

// bootstrap is what a login begins with: a new id for its sockets.
func (r *relay) bootstrap(ctx context.Context, c *client, token string) (string, error) {
	var start struct {
		Data struct{ Socket struct{ ID string } }
	}
	err := c.insist(ctx, "GET", "/x/auth/isUser", bearer(token), nil, &start)
	if err == nil && start.Data.Socket.ID == "" {
		err = &refused{what: "a bootstrap without socket.id"}
	}
	return start.Data.Socket.ID, err
}

func (r *relay) prepare() {
	n := 0
	for _, p := range r.people[:2] {
		for _, token := range p.listens[1:] {
			r.receivers = append(r.receivers, r.listener(p, token, n))
			n++
		}
		r.receivers = append(r.receivers, r.messenger(p, n))
	}
	c := r.people[2]
	for i, token := range c.listens[1:] {
		r.receivers = append(r.receivers, r.newcomer(c, token, i))
	}
	r.receivers = append(r.receivers, r.reader(c, c.listens[0]))
	for n, v := range r.voices {
		if v.speech == toFriend || v.speech == toGroup {
			r.publishers = append(r.publishers, r.poster(n, v).publisher(r.kit))
		} else {
			r.publishers = append(r.publishers, r.talker(n, v).run)
		}
	}
}

// hearers are the accounts of everybody who is to hear a voice.
func (r *relay) hearers(v *voice) func(item, ack) {
	var to []*ledger
	for _, p := range r.people {
		private := v.speech == toFriend || v.speech == relayed
		own := v.speech == toFriend || v.speech == toGroup // heard on one's other devices
		if p == v.who && own || p != v.who && (!private || p == v.who.friend) {
			to = append(to, p.ledger)
		}
	}
	return acks(to...)
}

// poster says things by HTTP, where the route takes no key.
func (r *relay) poster(n int, v *voice) post {
	path := "/x/room/sendMessage/group/" + r.group
	if v.speech == toFriend {
		path = fmt.Sprintf("/x/room/sendMessage/user/%d", v.who.friend.id)
	}
	c := newClient(r.base, false)
	return post{found: r.found, acked: r.hearers(v), number: n, size: one, once: true, say: func(ctx context.Context, _ string, items []item) ([]ack, error) {
		var out struct {
			OK   bool
			Data struct{ Chat struct{ ID, Text string } }
		}
		err := c.call(ctx, "POST", path, bearer(v.token), map[string]string{"text": enclose(items[0])}, &out)
		if err != nil {
			c.close()
			return nil, err
		}
		if !out.OK || out.Data.Chat.Text != enclose(items[0]) {
			r.found.add(Other, "%s said %q and was told %+v", v.who.name, enclose(items[0]), out)
		}
		return []ack{{id: out.Data.Chat.ID}}, nil
	}}
}

// relayType is the type of the frames that are carried.
const relayType = "checker"

// talker says things in frames of its own type, with refs.
func (r *relay) talker(n int, v *voice) *speaker {
	to := map[string]any{"to": "", "roomid": r.group, "roomtype": "group"}
	if v.speech == relayed {
		to = map[string]any{"to": strconv.FormatUint(v.who.friend.id, 10)}
	} else {
		delete(to, "to")
	}
	return &speaker{kit: r.kit, found: r.found, name: v.who.name + "'s frames", number: n, tongue: tongue{
		acked: func(i item, id string) { r.hearers(v)(i, ack{id: id}) },
		open: func(ctx context.Context, c *client) (*websocket.Conn, error) {
			return c.dial(ctx, "/socket?id="+r.ids[v.token], nil)
		},
		say: func(i item) any {
			f := map[string]any{"type": relayType, "identifier": "kirimin", "ref": ref(i), "text": enclose(i)}
			for k, at := range to {
				f[k] = at
			}
			return f
		},
		hear: func(b []byte) (answer, bool, error) {
			f, err := readRelay(b)
			if err == nil && f.Type == "ack" && !f.OK && transient(f.Msg) {
				return answer{}, false, errNotStored
			}
			if err == nil && f.Type == "ack" && !f.OK {
				err = &refused{what: fmt.Sprintf("a refusal of ref %q: %s", f.Ref, f.Msg)}
			}
			return answer{f.Ref, f.Key}, f.Type == "ack", err
		},
	}}
}

// enclose is an item's text as this dialect keeps it: blanks at the end of a
// message are taken away.
func enclose(i item) string { return i.text() + "." }
