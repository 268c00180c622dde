package relay

import (
	"context"
	"net/http"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// storeTime bounds what a connection may wait for the store.
const storeTime = 10 * time.Second

// socket is one person's connection.
type socket struct {
	gateway.LoginSocket
	g      *Gateway // static
	strict bool     // static: frames must have the identifier
}

// Accept answers GET /?id= and GET /socket?id=.
func (g *Gateway) Accept(r *ws.Request, c *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) {
	s, err := g.connect(r, c)
	if err != nil {
		return nil, nil, gateway.Refuse(r, err, g.Refusal(err))
	}
	return s, &g.o.Limits, nil
}

// Refusal is an error as the body of a refused upgrade.
func (g *Gateway) Refusal(err error) gateway.Body {
	if !isWorded(err) && status.Of(err).Code == status.Internal {
		g.o.Edge.Log.Error("an upgrade failed", "gateway", "relay", "error", err)
	}
	return gateway.JSON(refused(err))
}

func (g *Gateway) connect(r *ws.Request, c *ws.Conn) (*socket, error) {
	ctx := gateway.NewWithin(context.Background(), r, storeTime)
	defer ctx.End()
	if !g.o.Edge.Origins.Allowed(r.Get("Origin"), r.Host) {
		return nil, gateway.ErrOrigin
	}
	q := r.Query()
	if err := gateway.CheckQuery(q, "id", "after", "devices", "notices", "epoch", "live", "strict", "close_reason"); err != nil {
		return nil, err
	}
	u, l, t, err := g.o.Accounts.TicketLogin(ctx, q.Get("id"))
	if err == nil {
		err = g.sameLogin(ctx, r, l)
	}
	if err != nil {
		return nil, err
	}
	owner := ownerOf(l.ID)
	way, shown, err := g.way(ctx, q.Get("after"), owner, l, t)
	if err != nil {
		return nil, err
	}
	f := Format{User: u.ID, Devices: q.Get("devices") == "1", Notices: q.Get("notices") == "1", Shown: shown}
	if q.Has("after") || q.Get("epoch") == "1" {
		f.Epoch = g.o.Edge.Epoch
	}
	if q.Has("after") && !f.Notices { // they ask for all of it, and could not be told
		way = way.Strict()
	}
	s := &socket{g: g, strict: q.Get("strict") != "0"}
	s.LogIn(&g.logins, l)
	s.Session = hub.Session{
		Format: f, Topic: account.Inbox(u.ID), User: u.ID, Name: u.Display, Key: l.ID,
		Credential: hub.CredentialOf(account.LoginCredential(l.ID)), Ticket: hub.CredentialOf(account.TicketCredential(t.ID)),
	}
	g.calls.come(u.ID) // before the socket can be heard, or miss a call
	err = s.Open(ctx, g.o.Edge, c, way)
	if err == nil && q.Get("live") == "1" {
		err = s.Hear(ctx, &hub.Session{Format: Likes{}, Topic: chat.PostsTopic}, hub.Now())
	}
	if err != nil {
		g.gone(nil, u.ID)
		return nil, err
	}
	return s, nil
}

// sameLogin refuses a socket id that comes with the cookie of another login: a
// page that was given somebody's id must not act as them.
func (g *Gateway) sameLogin(ctx context.Context, r *ws.Request, l account.Login) error {
	for _, cookie := range (&http.Request{Header: http.Header{"Cookie": r.Header.Values("Cookie")}}).CookiesNamed(gateway.Cookie) {
		_, sent, err := g.o.Accounts.Authenticate(ctx, cookie.Value)
		if err != nil {
			return err
		}
		if sent.ID != l.ID {
			return account.ErrTicketInvalid
		}
	}
	return nil
}

// ownerOf is whose acknowledged position the sockets of a login move, and whose
// refs they are.
func ownerOf(login uint64) string { return account.LoginCredential(login) + ownerMark }

const ownerMark = "/relay"

// way is where a socket begins: where it asks for, and then with all of it; or
// from where its login's sockets are owed something, or after what they
// acknowledged since. shown is up to where the bootstrap that gave the id has
// shown what stands there, 0 where it has nothing to do with it.
func (g *Gateway) way(ctx context.Context, after, owner string, l account.Login, t account.Ticket) (w gateway.Way, shown uint64, err error) {
	if after != "" {
		w, err = g.o.Edge.Resume(ctx, after, owner, func() (uint64, error) { return l.InboxStart, nil })
		return w, 0, err
	}
	seq, _, err := g.o.Edge.Acked.Position(ctx, owner)
	seq = max(seq, t.Start)
	return gateway.Way{By: gateway.ByLogin, Start: hub.Kept(seq)}, shownAfter(seq, t), err
}

func shownAfter(seq uint64, t account.Ticket) uint64 {
	if seq >= t.Head {
		return 0
	}
	return t.Head
}

// OnClose takes the socket out; with somebody's last one their calls end.
func (s *socket) OnClose(t *ws.Turn, c *ws.Conn, code uint16, reason string) {
	s.LoginSocket.OnClose(t, c, code, reason)
	s.g.gone(t, s.User)
}
