package direct

import (
	"context"
	"errors"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// upgradeTime bounds what an upgrade may wait for the store.
const upgradeTime = 10 * time.Second

// maxGreeting is how many bytes of who is here are sent at once, and a little
// more: a connection's queue must have room for it.
const maxGreeting = 16 << 10

// socket is one person's connection.
type socket struct {
	gateway.LoginSocket
	g *Gateway // static
}

// Accept answers GET /ws/connect.
func (g *Gateway) Accept(r *ws.Request, c *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) {
	s, err := g.connect(r, c)
	if err != nil {
		return nil, nil, gateway.Refuse(r, err, g.Refusal(err))
	}
	return s, &g.o.Limits, nil
}

func (g *Gateway) connect(r *ws.Request, c *ws.Conn) (*socket, error) {
	ctx := gateway.NewWithin(context.Background(), r, upgradeTime)
	defer ctx.End()
	if !g.o.Edge.Origins.Allowed(r.Get("Origin"), r.Host) {
		return nil, gateway.ErrOrigin
	}
	q := r.Query()
	if err := gateway.CheckQuery(q, "auth", "after", "devices", "receipts", "epoch", "close_reason"); err != nil {
		return nil, err
	}
	code := q.Get("auth")
	if code == "" {
		return nil, status.Errorf(status.Invalid, "NO_CODE", "the query lacks auth=<code>; get one at /ws/auth")
	}
	if err := g.readable(q.Get("after")); err != nil { // before the code is spent for nothing
		return nil, err
	}
	u, l, err := g.o.Accounts.Spend(ctx, code, c.RemoteAddr())
	if err != nil {
		return nil, err
	}
	way, err := g.way(ctx, q.Get("after"), l)
	if err != nil {
		return nil, err
	}
	f := Format{User: u.ID, Devices: q.Get("devices") == "1", Receipts: q.Get("receipts") == "1"}
	if q.Has("after") || q.Get("epoch") == "1" {
		f.Epoch = g.o.Edge.Epoch
	}
	s := &socket{g: g}
	s.LogIn(&g.logins, l)
	s.Session = hub.Session{
		Format: f, Topic: account.Inbox(u.ID), User: u.ID, Name: u.Display, Key: l.ID,
		Credential: hub.CredentialOf(account.LoginCredential(l.ID)),
	}
	if err := s.Open(ctx, g.o.Edge, c, way); err != nil || !f.Receipts {
		return s, err
	}
	return s, s.greet(ctx, c)
}

// greet tells who of the friends is here. It is asked after the socket is
// open: who comes meanwhile is told twice, and nobody is missed.
func (s *socket) greet(ctx context.Context, c *ws.Conn) error {
	friends, err := s.g.o.Chats.OnlineFriends(ctx, s.User)
	if err != nil {
		s.OnClose(nil, c, 0, "") // it is refused after all
		return err
	}
	greeting(friends, func(frames []byte) bool { return c.Send(frames) })
	return nil
}

// greeting sends that these are here, as long as there is room for it: a peer
// who does not take that much has enough to read.
func greeting(friends []uint64, send func(frames []byte) bool) {
	var frames []byte
	for i, id := range friends {
		frames = appendHere(frames, id)
		if len(frames) < maxGreeting && i < len(friends)-1 {
			continue
		}
		if !send(frames) {
			return
		}
		frames = nil
	}
}

// readable says what is wrong with the form of after=.
func (g *Gateway) readable(after string) error {
	if after == "" || after == "last" || journal.IsID(after) {
		return nil
	}
	_, err := gateway.ParsePosition(after, g.o.Edge.Epoch)
	if gateway.Gone(err) != nil {
		return nil // a position, if none of this log: who asks learns where theirs stands
	}
	return err
}

// way is where after= begins: an id of a message in the inbox, or a position.
func (g *Gateway) way(ctx context.Context, after string, l account.Login) (gateway.Way, error) {
	if journal.IsID(after) {
		w := gateway.Way{By: gateway.ByMessage, Start: hub.Gone("expired")}
		m, err := g.o.Journal.Find(ctx, after)
		if errors.Is(err, journal.ErrNoMessage) {
			return w, nil
		}
		if err == nil {
			if seq := m.Seq(account.Inbox(l.User)); seq != 0 {
				w.Start = hub.After(seq)
			}
		}
		return w, err
	}
	return g.o.Edge.Resume(ctx, after, account.LoginCredential(l.ID), func() (uint64, error) { return l.InboxStart, nil })
}

// OnMessage takes a frame.
func (s *socket) OnMessage(t *ws.Turn, c *ws.Conn, k ws.Kind, p []byte) {
	if !s.Alive(c) {
		return
	}
	if k != ws.Text {
		s.refuse(t, &refusal{message: notRecognized + "frames are text", code: "BINARY"})
		return
	}
	m, bad := decode(p, s.g.o.Text, s.format().Receipts)
	switch {
	case bad != nil:
		s.refuse(t, bad)
	case m.kind == typeTyping:
		t.Blocking()
		s.types(t, m)
	default:
		s.carryOut(c, m)
	}
}

func (s *socket) format() Format { return s.Format.(Format) }

// carryOut does what is kept: a message, or a mark up to where was read.
func (s *socket) carryOut(c *ws.Conn, m message) {
	var key journal.Key
	if m.ref != "" {
		key = journal.Key{Scope: account.LoginCredential(s.LoginID()), Ref: m.ref}
	}
	c.Acquire()
	var pending *journal.Pending
	if m.kind == typeRead {
		if m.ref != "" { // of its own: a message's ref must not answer for it
			key.Scope += "/read"
		}
		pending = s.g.o.Chats.ReadTo(s.User, chat.Place{User: m.to}, m.id, s.LoginID(), key)
	} else {
		pending = s.g.o.Chats.Send(chat.Outgoing{From: s.User, To: m.to, Login: s.LoginID(), Text: m.text}, key)
	}
	pending.Then(func(r journal.Result, err error) {
		defer c.Release()
		switch {
		case err != nil:
			c.Answer(ws.AppendText(nil, appendError(nil, s.refusal(err, m.ref))))
		case m.ref != "" && m.kind == typeRead: // which is done also where it was read before
			c.Answer(appendAck(nil, m.ref, m.id, time.Now()))
		case m.ref != "":
			c.Answer(appendAck(nil, m.ref, r.Messages[0].ID, r.Messages[0].Time))
		}
	})
}

// types tells a friend that this one types.
func (s *socket) types(t *ws.Turn, m message) {
	ctx, cancel := context.WithTimeout(context.Background(), upgradeTime)
	defer cancel()
	if err := s.g.o.Chats.Typing(ctx, s.User, chat.Place{User: m.to}, s.LoginID()); err != nil {
		t.Reply(ws.Text, appendError(nil, s.refusal(err, m.ref)))
	}
}

func (s *socket) refuse(t *ws.Turn, r *refusal) {
	s.g.refused.Add(1)
	t.Reply(ws.Text, appendError(nil, r))
}

// refusal puts a refusal of the core into words that clients know.
func (s *socket) refusal(err error, ref string) *refusal {
	e := status.Of(err)
	s.g.refused.Add(1)
	switch {
	case errors.Is(err, chat.ErrNotFriends), errors.Is(err, chat.ErrBlocked), errors.Is(err, chat.ErrBlocking):
		// One answer for all three: whoever is blocked is not told.
		return &refusal{notFriends, "NOT_FRIENDS", ref}
	case e.Code == status.Internal:
		s.g.o.Edge.Log.Error("a message was not stored", "gateway", "direct", "error", err)
	}
	return &refusal{"error : " + e.Message, e.Reason, ref}
}
