package feed

import (
	"context"
	"net/textproto"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// askTime bounds what may be waited for the store.
const askTime = 10 * time.Second

// socket is one connection.
type socket struct {
	gateway.LoginSocket
	// static
	g       *Gateway
	format  Format
	acks    bool
	speaks  bool
	speaker chat.Speaker
	guest   *account.User // who goes by a name of their own choice; nil for an account under its own, or no name

	// owned by the reading side
	asked time.Time // when it was last asked whose name the guest goes by
	lines int       // text frames that came
}

// Accept answers GET /websocket.
func (g *Gateway) Accept(r *ws.Request, c *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) {
	s, err := g.connect(r, c)
	if err != nil {
		return nil, nil, gateway.Refuse(r, err, g.body(err))
	}
	return s, &g.o.Limits, nil
}

func (g *Gateway) connect(r *ws.Request, c *ws.Conn) (*socket, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	if !g.o.Edge.Origins.Allowed(r.Get("Origin"), r.Host) {
		return nil, gateway.ErrOrigin
	}
	q, err := parseQuery(r.Query())
	if err != nil {
		return nil, err
	}
	u, l, err := g.who(ctx, r.Header)
	if err != nil {
		return nil, err
	}
	if err := mayUse(ctx, g.o.Accounts, u, q.name); err != nil {
		return nil, err
	}
	f := Format{JSON: q.json, Presence: q.presence}
	if q.epoch {
		f.Epoch = g.o.Edge.Epoch
	}
	s := &socket{
		g: g, format: f, acks: q.acks, asked: time.Now(),
		speaks:  g.o.Publish == Anyone || g.o.Publish == Accounts && l.ID != 0,
		speaker: chat.Speaker{User: u.ID, Name: q.name, Key: key(l.ID, q.client)},
	}
	s.Accounts, s.Login = g.o.Accounts, l
	if q.name != "" {
		s.guest = &u
	} else {
		s.speaker.Name = u.Display
	}
	s.Session = hub.Session{
		Format: f, Topic: chat.FeedTopic,
		User: u.ID, Name: s.speaker.Name, Key: s.speaker.Key, Presence: q.presence, Skip: q.skip,
	}
	owner := ""
	if l.ID != 0 {
		s.Credential = account.LoginCredential(l.ID)
		owner = s.Credential + "/feed" // the login's own is its inbox's
	}
	from, err := g.from(ctx, q, owner)
	if err != nil {
		return nil, err
	}
	return s, s.Open(ctx, g.o.Edge, c, owner, from)
}

// who is the account that an upgrade comes from, with its login; a zero user
// for nobody in particular.
func (g *Gateway) who(ctx context.Context, h textproto.MIMEHeader) (account.User, account.Login, error) {
	given := h.Get("Authorization")
	if scheme, _, two := strings.Cut(strings.TrimSpace(given), " "); two && !strings.EqualFold(scheme, "Bearer") {
		given = "" // not meant for us
	}
	if given == "" {
		h = textproto.MIMEHeader{"Cookie": h["Cookie"]}
	}
	token := gateway.UpgradeToken(h)
	if token == "" {
		return account.User{}, account.Login{}, nil
	}
	u, l, err := g.o.Accounts.Authenticate(ctx, token)
	if err != nil && given == "" {
		if code := status.Of(err).Code; code == status.Unauthenticated || code == status.Forbidden {
			return account.User{}, account.Login{}, nil
		}
	}
	return u, l, err
}

// from is where a session begins.
func (g *Gateway) from(ctx context.Context, q query, owner string) (hub.Start, error) {
	if q.last > 0 {
		return hub.Last(q.last), nil
	}
	start, err := g.o.Edge.Resume(ctx, q.after, owner, func() (uint64, error) {
		head, err := g.o.Journal.Head(ctx, chat.FeedTopic)
		if err != nil {
			return 0, err
		}
		return head, g.o.Edge.Acked.Begin(ctx, hub.Acked{Owner: owner, Topic: chat.FeedTopic, Seq: head})
	})
	return start, gateway.WithHead(ctx, err, g.o.Journal, chat.FeedTopic)
}

// OnMessage takes a line.
func (s *socket) OnMessage(t *ws.Turn, c *ws.Conn, k ws.Kind, p []byte) {
	if !s.Alive(c) {
		return
	}
	line := 0
	if k == ws.Text {
		s.lines++
		line = s.lines
	}
	if code := s.unspoken(t, k, p); code != "" {
		s.g.refused.Add(1)
		if s.format.JSON {
			t.Reply(ws.Text, appendError(nil, code, s.number(line)))
		}
		return
	}
	c.Acquire()
	s.g.o.Chats.Speak(s.speaker, string(p), journal.Key{}).Then(func(r journal.Result, err error) {
		defer c.Release()
		switch {
		case err != nil:
			s.failed(c, err, line)
		case s.acks:
			c.Send(ws.AppendText(nil, appendAck(nil, r.Messages[0], line, s.format.Epoch)))
		}
	})
}

// unspoken is why a frame is dropped, "" where it is a line to speak.
func (s *socket) unspoken(t *ws.Turn, k ws.Kind, p []byte) string {
	switch {
	case k != ws.Text:
		return "BINARY"
	case !s.speaks:
		return "NOT_ALLOWED"
	case len(p) == 0:
		return "TEXT_REQUIRED"
	case s.guest != nil && time.Since(s.asked) > s.g.nameHolds:
		t.Blocking()
		ctx, cancel := context.WithTimeout(context.Background(), askTime)
		defer cancel()
		if err := mayUse(ctx, s.g.o.Accounts, *s.guest, s.speaker.Name); err != nil {
			return status.Of(err).Reason
		}
		s.asked = time.Now()
	}
	return ""
}

// failed tells who can be told that a line was not stored.
func (s *socket) failed(c *ws.Conn, err error, line int) {
	e := status.Of(err)
	s.g.refused.Add(1)
	if e.Code == status.Internal {
		s.g.o.Edge.Log.Error("a line was not stored", "gateway", "feed", "error", err)
	}
	if s.format.JSON {
		c.Send(ws.AppendText(nil, appendError(nil, e.Reason, s.number(line))))
	}
}

func (s *socket) number(line int) int {
	if s.acks {
		return line
	}
	return noLine
}
