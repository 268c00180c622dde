package bot

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// askTime bounds what may be waited for the store.
const askTime = 10 * time.Second

// typingEvery is how often others hear that somebody types: each frame would
// make every connection of the endpoint run.
const typingEvery = time.Second

// quiet is the topic of who has no inbox. Nothing is ever said in it.
const quiet = "nobody"

// socket is one connection to an endpoint.
type socket struct {
	gateway.LoginSocket
	// static
	g    *Gateway
	lane *lane
	conn *ws.Conn
	key  uint64        // what its own frames are not told to it by
	who  *account.User // nil for nobody in particular

	listens atomic.Bool // its process has a rule for what ears hear
	stale   atomic.Bool // the endpoint or its process is not what it was

	turns turns
	hearing

	// owned by whose turn it is
	endpoint *process.Endpoint
	runner   *process.Runner
	groups   []string
	checked  time.Time // when it was last asked whether they may use it
	typed    time.Time // when the others were last told that they type
}

// Accept answers an upgrade to an endpoint.
func (g *Gateway) Accept(r *ws.Request, c *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) {
	s, err := g.connect(r, c)
	if err != nil {
		return nil, nil, gateway.Refuse(r, err, g.Refusal(err))
	}
	return s, &g.o.Limits, nil
}

func (g *Gateway) connect(r *ws.Request, c *ws.Conn) (*socket, error) {
	ctx := gateway.NewWithin(g.live, r, askTime)
	defer ctx.End()
	if !g.o.Edge.Origins.Allowed(r.Get("Origin"), r.Host) {
		return nil, gateway.ErrOrigin
	}
	e := g.o.Processes.Endpoint(r.Path)
	if e == nil {
		return nil, errNoEndpoint
	}
	u, l, err := g.who(ctx, r.Header, e.Access.Anonymous)
	if err != nil {
		return nil, err
	}
	s := &socket{g: g, conn: c, key: rand.Uint64() | 1<<63, endpoint: e, checked: time.Now()} //nolint:gosec // unlike others is enough; no login has such a number
	s.LogIn(&g.logins, l)
	s.Session = hub.Session{Format: Format{}, Topic: quiet}
	if u.ID != 0 {
		s.who = &u
		s.Session = hub.Session{
			Format: Format{}, Topic: account.Inbox(u.ID), User: u.ID, Name: u.Display,
			Credential: hub.CredentialOf(account.LoginCredential(l.ID)),
		}
		if s.groups, err = g.o.Accounts.Groups(ctx, u.ID); err != nil {
			return nil, err
		}
	}
	if err := allows(e.Access, s.who != nil, s.groups); err != nil {
		return nil, err
	}
	s.runner = g.o.Processes.Runner(e, s.identity())
	if err := s.Open(ctx, g.o.Edge, c, gateway.Way{}); err != nil {
		return nil, err
	}
	s.lane = g.lane(e.URL)
	if err := s.listen(ctx, e); err != nil {
		s.LoginSocket.OnClose(nil, c, 0, "")
		s.lane.release()
		return nil, err
	}
	s.begin()
	return s, nil
}

// begin lets a connection that is accepted run.
func (s *socket) begin() {
	s.turns.mu.Lock()
	s.turns.connect = s.endpoint.Def.Hears(process.OnConnect)
	s.turns.mu.Unlock()
	s.lane.join(s)
	if s.g.o.Processes.Endpoint(s.endpoint.URL) != s.endpoint { // it changed before it was in the lane
		s.g.changed(s.endpoint.URL)
	}
	s.wake()
}

// who is the account that an upgrade comes from, with its login. A page of an
// anonymous endpoint may have an old cookie: that is nobody.
func (g *Gateway) who(ctx context.Context, h ws.Header, anonymous bool) (account.User, account.Login, error) {
	token := gateway.UpgradeToken(h)
	switch {
	case token == "" && anonymous:
		return account.User{}, account.Login{}, nil
	case token == "":
		return account.User{}, account.Login{}, errNoToken
	}
	u, l, err := g.o.Accounts.Authenticate(ctx, token)
	if err != nil && anonymous && strings.TrimSpace(h.Get("Authorization")) == "" {
		if code := status.Of(err).Code; code == status.Unauthenticated || code == status.Forbidden {
			return account.User{}, account.Login{}, nil
		}
	}
	return u, l, err
}

// OnMessage runs a frame, once it is its turn.
func (s *socket) OnMessage(t *ws.Turn, c *ws.Conn, k ws.Kind, p []byte) {
	if !s.Alive(c) {
		return
	}
	if k != ws.Text {
		s.refuse(t, &process.Bad{Code: notJSON, Message: "a frame is text"}, nil)
		return
	}
	f, bad := decode(p)
	if bad != nil {
		s.refuse(t, bad, f.id)
		return
	}
	c.Acquire() // until it is answered
	defer c.Release()
	t.Blocking()
	if !s.take(s.g.live) {
		return
	}
	defer s.give()
	if !s.allowed() {
		return
	}
	if f.typing {
		s.typing()
		if f.id != nil {
			s.answer(t, nil, f.id)
		}
	} else if out, bad := s.runner.Frame(s.g.live, f.inputs); bad != nil {
		s.refuse(t, bad, f.id)
	} else {
		s.answer(t, out, f.id)
	}
	t.Blocking() // so that a push that follows does not overtake it
}

// refuse says what is wrong with a frame.
func (s *socket) refuse(t *ws.Turn, bad *process.Bad, id json.RawMessage) {
	s.g.refused.Add(1)
	t.Reply(ws.Text, appendError(nil, bad, id))
}

func (s *socket) answer(t *ws.Turn, outputs map[string]any, id json.RawMessage) {
	b, err := encodeAnswer(outputs, id)
	if err != nil {
		s.g.o.Edge.Log.Error("outputs cannot be written", "gateway", "bot", "process", s.endpoint.Process, "error", err)
		s.refuse(t, &process.Bad{Code: process.ProcessFailed, Message: "the process could not do this"}, id)
		return
	}
	t.Reply(ws.Text, b)
}

// step carries out what is next for the connection. An executor calls it.
func (s *socket) step() {
	do, unsent, room, ok := s.turns.next()
	for _, e := range room {
		e.session.Drained()
	}
	if !ok {
		return
	}
	defer s.give()
	if unsent != nil {
		s.push(unsent)
		return
	}
	switch do.On {
	case "":
		return
	case process.OnDisconnect: // who may not use it any more leaves as everybody does
		if e := s.g.o.Processes.Endpoint(s.lane.url); e != nil {
			s.renew(e)
		}
		do.From = s.profile()
	case process.OnConnect:
		do.From = s.profile()
		fallthrough
	default:
		if !s.allowed() {
			return
		}
	}
	out, bad := s.runner.Trigger(s.g.live, do)
	if bad != nil || out == nil || do.On == process.OnDisconnect {
		return // the process's author finds it in the log; nobody here asked for anything
	}
	b, err := encodePush(out)
	if err != nil {
		s.g.o.Edge.Log.Error("outputs cannot be written", "gateway", "bot", "process", s.endpoint.Process, "error", err)
		return
	}
	s.push(ws.AppendText(nil, b))
}

// allowed says whether this person may still use the endpoint, and closes where
// they may not. What changed takes effect here. The turn is ours.
func (s *socket) allowed() bool {
	changed := s.stale.Swap(false)
	// What was published holds for the next frame, though not every connection was
	// looked at yet.
	changed = changed || s.g.o.Processes.Endpoint(s.lane.url) != s.endpoint
	if !changed && time.Since(s.checked) < s.g.accessHold {
		return true
	}
	e, groups, err := s.ask()
	if err != nil {
		s.dismiss(err)
		return false
	}
	s.checked, s.groups = time.Now(), groups
	s.renew(e)
	return true
}

// renew runs an endpoint as it is now, with what was kept. The turn is ours.
func (s *socket) renew(e *process.Endpoint) {
	s.runner, s.endpoint = s.runner.Renew(e, s.identity()), e
}

// ask is the endpoint as it is now, with this person's groups, or why they may
// not use it any more.
func (s *socket) ask() (*process.Endpoint, []string, error) {
	ctx, cancel := context.WithTimeout(s.g.live, askTime)
	defer cancel()
	e := s.g.o.Processes.Endpoint(s.lane.url)
	if e == nil {
		return nil, nil, errNoEndpoint
	}
	var groups []string
	if s.who != nil {
		var err error
		if groups, err = s.g.o.Accounts.Groups(ctx, s.who.ID); err != nil {
			return nil, nil, err
		}
	}
	return e, groups, allows(e.Access, s.who != nil, groups)
}

// dismiss closes the connection of who may not use the endpoint any more.
func (s *socket) dismiss(err error) {
	e := status.Of(err)
	if e.Code == status.Internal && s.g.live.Err() == nil {
		s.g.o.Edge.Log.Error("an endpoint cannot be used", "gateway", "bot", "endpoint", s.lane.url, "error", err)
	}
	s.conn.Close(e.Close(), e.Message)
}

// conform looks whether a connection may go on after something changed, and
// lets it hear what the endpoint follows now.
func (s *socket) conform() {
	e, _, err := s.ask()
	if err != nil {
		s.dismiss(err)
		return
	}
	s.stale.Store(true)
	ctx, cancel := context.WithTimeout(s.g.live, askTime)
	defer cancel()
	if err := s.listen(ctx, e); err != nil {
		s.dismiss(err)
	}
}

// identity is who runs a process here.
func (s *socket) identity() process.Who {
	return process.Who{User: s.who, Groups: s.groups, Address: s.conn.RemoteAddr().String(), ID: strconv.FormatUint(s.key, 36), Key: s.key}
}

// typing tells the others at the endpoint that this person types, once in a
// while. The turn is ours.
func (s *socket) typing() {
	if now := time.Now(); now.Sub(s.typed) >= typingEvery && s.endpoint.Def.Hears(process.OnTyping) {
		s.typed = now
		data, err := json.Marshal(s.profile())
		if err != nil {
			panic(err) // it always encodes
		}
		m := &journal.Message{Kind: process.KindTyping, Time: now.UTC(), From: s.User, Except: s.key, Data: data}
		s.g.o.Edge.Hub.Tell(process.BotTopic(s.endpoint.URL), m, nil)
	}
}

// profile is how others know this person.
func (s *socket) profile() account.Profile {
	if s.who == nil {
		return account.Profile{}
	}
	return s.who.Profile()
}

// OnDrain lets go on what waits for room.
func (s *socket) OnDrain(c *ws.Conn) {
	s.LoginSocket.OnDrain(c)
	s.drain()
}

// OnClose takes the connection out, and runs its disconnect trigger.
func (s *socket) OnClose(t *ws.Turn, c *ws.Conn, code uint16, reason string) {
	s.LoginSocket.OnClose(t, c, code, reason)
	s.deafen()
	s.lane.leave(s)
	e := s.g.o.Processes.Endpoint(s.lane.url)
	s.end(e != nil && e.Def.Hears(process.OnDisconnect))
	s.lane.release()
}
