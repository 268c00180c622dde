package feed

import (
	"context"
	"net/http"
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
	g     *Gateway // static
	guest *guest   // who goes by a name of their own choice; nil for an account under its own, or no name
	lines uint32   // owned by the reading side: text frames that came
	acks  bool     // static
	comes bool     // static: back to what it acknowledged
}

// guest is somebody under a name of their own choice.
type guest struct {
	user  account.User // static; zero for nobody in particular
	asked time.Time    // owned by the reading side: when it was last asked whose name it is
}

// Accept answers GET /websocket.
func (g *Gateway) Accept(r *ws.Request, c *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) {
	s, err := g.connect(r, c)
	if err != nil {
		return nil, nil, gateway.Refuse(r, err, g.Refusal(err))
	}
	if s.comes {
		return s, &g.proving, nil
	}
	return s, &g.o.Limits, nil
}

func (g *Gateway) connect(r *ws.Request, c *ws.Conn) (*socket, error) {
	ctx := gateway.NewWithin(context.Background(), r, askTime)
	defer ctx.End()
	if !g.o.Edge.Origins.Allowed(r.Get("Origin"), r.Host) {
		return nil, gateway.ErrOrigin
	}
	var q query
	if r.RawQuery != "" {
		var err error
		if q, err = parseQuery(r.Query()); err != nil {
			return nil, err
		}
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
	s := &socket{g: g, acks: q.acks, comes: q.after == "last"}
	s.LogIn(&g.logins, l)
	s.Session = hub.Session{
		Format: g.formats[f], Topic: chat.FeedTopic,
		User: u.ID, Name: u.Display, Key: key(l.ID, q.client), Presence: q.presence, Skip: q.skip,
	}
	if q.name != "" {
		s.Name, s.guest = q.name, &guest{u, time.Now()}
	}
	owner := ""
	if l.ID != 0 {
		s.Credential = hub.CredentialOf(account.LoginCredential(l.ID))
		owner = g.logins.Owner(l.ID)
	}
	way, err := g.way(ctx, q, owner)
	if err != nil {
		return nil, err
	}
	return s, s.Open(ctx, g.o.Edge, c, way)
}

// who is the account that an upgrade comes from, with its login; a zero user
// for nobody in particular.
func (g *Gateway) who(ctx context.Context, h ws.Header) (account.User, account.Login, error) {
	given := h.Get("Authorization")
	if scheme, _, two := strings.Cut(strings.TrimSpace(given), " "); two && !strings.EqualFold(scheme, "Bearer") {
		given = "" // not meant for us
	}
	if given == "" {
		cookies := h.Values("Cookie")
		if cookies == nil {
			return account.User{}, account.Login{}, nil
		}
		h = ws.HeaderOf(http.Header{"Cookie": cookies})
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

// way is where a session begins. A plain one has no word for what is not kept
// any more, and is refused.
func (g *Gateway) way(ctx context.Context, q query, owner string) (gateway.Way, error) {
	if q.last > 0 {
		return gateway.Way{By: gateway.ByLines, Start: hub.Last(q.last)}, nil
	}
	w, err := g.o.Edge.Resume(ctx, q.after, owner, func() (uint64, error) {
		head, err := g.o.Journal.Head(ctx, chat.FeedTopic)
		if err != nil {
			return 0, err
		}
		return g.o.Edge.Acked.First(ctx, hub.Acked{Owner: owner, Topic: chat.FeedTopic, Seq: head})
	})
	if !q.json {
		w = w.Strict()
	}
	return w, err
}

// OnMessage takes a line.
func (s *socket) OnMessage(t *ws.Turn, c *ws.Conn, k ws.Kind, p []byte) {
	if !s.Alive(c) {
		return
	}
	line := 0
	if k == ws.Text {
		s.lines++
		line = int(s.lines)
	}
	if code := s.unspoken(t, k, p); code != "" {
		s.g.refused.Add(1)
		if s.format().JSON {
			t.Reply(ws.Text, appendError(nil, code, s.number(line)))
		}
		return
	}
	c.Acquire()
	s.g.o.Chats.Speak(chat.Speaker{User: s.User, Name: s.Name, Key: s.Key}, string(p), journal.Key{}).Then(func(r journal.Result, err error) {
		defer c.Release()
		switch {
		case err != nil:
			s.failed(c, err, line)
		case s.acks:
			c.Answer(ws.AppendText(nil, appendAck(nil, r.Messages[0], line, s.format().Epoch)))
		}
	})
}

func (s *socket) format() Format { return s.Format.(Format) }

// speaks says whether somebody with this login, 0 for none, may speak.
func (g *Gateway) speaks(login uint64) bool {
	return g.o.Publish == Anyone || g.o.Publish == Accounts && login != 0
}

// unspoken is why a frame is dropped, "" where it is a line to speak.
func (s *socket) unspoken(t *ws.Turn, k ws.Kind, p []byte) string {
	switch {
	case k != ws.Text:
		return "BINARY"
	case !s.g.speaks(s.LoginID()):
		return "NOT_ALLOWED"
	case len(p) == 0:
		return "TEXT_REQUIRED"
	case s.guest != nil && time.Since(s.guest.asked) > s.g.nameHolds:
		t.Blocking()
		ctx, cancel := context.WithTimeout(context.Background(), askTime)
		defer cancel()
		if err := mayUse(ctx, s.g.o.Accounts, s.guest.user, s.Name); err != nil {
			return status.Of(err).Reason
		}
		s.guest.asked = time.Now()
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
	if s.format().JSON {
		c.Answer(ws.AppendText(nil, appendError(nil, e.Reason, s.number(line))))
	}
}

func (s *socket) number(line int) int {
	if s.acks {
		return line
	}
	return noLine
}
