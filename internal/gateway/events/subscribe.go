package events

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unique"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// waitTime bounds what subscribing may wait for the store.
const waitTime = 10 * time.Second

// subscription is what a subscriber asked for, checked.
type subscription struct {
	owner string // of the kept position, "" for none
	at    uint64 // it has everything up to here
	way   gateway.Way
	first [][]byte // state=1: sent before anything else
}

// subscribe reads a query, and sets the session up. What needs no look into the
// store comes first: a refusal costs no more than a lookup.
func (g *Gateway) subscribe(ctx context.Context, session *hub.Session, q url.Values, bearer, lastEventID string, sse bool) (*subscription, error) {
	if err := gateway.CheckQuery(q, "event", "token", "format", "after", "consumer", "state", "epoch", "close_reason"); err != nil {
		return nil, err
	}
	f := Format{sse: sse, epoch: g.o.Edge.Epoch, tell: q.Has("after") || q.Get("epoch") == "1"}
	var ok bool
	if f.shape, ok = shapes[q.Get("format")]; !ok {
		return nil, status.Errorf(status.Invalid, "FORMAT_UNKNOWN", "there is no format %.40q; there are envelope, raw and cloudevents", q.Get("format"))
	}
	names, err := g.names(q)
	if err != nil {
		return nil, err
	}
	f.names = unique.Make(namesOf(names)).Value() // subscribers share the text
	consumer := q.Get("consumer")
	if consumer != "" {
		if err := instance.CheckConsumer(consumer); err != nil {
			return nil, err
		}
	}
	token := q.Get("token")
	if token == "" {
		token = bearer
	}
	if token == "" {
		return nil, errNoToken
	}
	access, err := g.o.Instances.Authenticate(ctx, token)
	if err == nil && sse {
		err = g.o.Edge.Admission.Admit()
	}
	if err != nil {
		return nil, err
	}
	s := &subscription{}
	session.Format, session.Topic = f, instance.Topic(access.Instance.ID)
	session.Credential = hub.CredentialOf(access.Credential())
	if !access.Until.IsZero() {
		session.Until = access.Until.UnixMilli()
	}
	if consumer != "" {
		s.owner = instance.ConsumerOwner(access.Instance.ID, consumer)
	}
	after := q.Get("after")
	if lastEventID != "" {
		after = lastEventID
	}
	if err := g.start(ctx, s, session.Topic, after, lastEventID != ""); err != nil {
		return nil, err
	}
	if q.Get("state") == "1" {
		ms, err := g.o.Instances.State(ctx, access.Ref())
		if err != nil {
			return nil, err
		}
		f.apart = true
		for _, m := range ms {
			if seq := m.Seq(session.Topic); seq <= s.at { // a newer one comes in its place
				s.first = append(s.first, f.Append(nil, m, seq))
			}
		}
	}
	return s, nil
}

// names are the events that event= asks for.
func (g *Gateway) names(q url.Values) ([]string, error) {
	known := g.o.Instances.Names()
	asked := q.Get("event")
	if asked == "*" {
		var all []string
		for _, name := range known.All() {
			if !known.WebhookOnly(name) {
				all = append(all, name)
			}
		}
		return all, nil
	}
	names := strings.Split(asked, ",")
	for _, name := range names {
		if err := known.CheckHeard(name); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// start finds where a subscriber begins. Where a consumer begins that was never
// seen is kept at once: what is said from there on is its own, even if it goes
// before its first pong.
func (g *Gateway) start(ctx context.Context, s *subscription, topic, after string, acknowledges bool) error {
	e := g.o.Edge
	head, err := g.o.Journal.Head(ctx, topic)
	if err != nil {
		return err
	}
	s.at = head
	s.way = gateway.Way{Start: hub.After(head)} // what state=1 sends first reaches up to here
	if after != "" && after != "last" {
		s.way.By = gateway.ByPosition
		if acknowledges {
			s.way.By = gateway.ByEventID
		}
		at, err := gateway.ParsePosition(after, e.Epoch)
		if gone := gateway.Gone(err); gone != nil {
			s.way.Start = hub.Gone("epoch")
			return nil // and refused when it subscribes
		}
		if err != nil {
			return err
		}
		s.way.Start = hub.After(at)
		if at > head {
			return nil
		}
		s.at = at
	}
	if s.owner == "" {
		if after == "last" {
			return status.Errorf(status.Invalid, "NO_POSITION", "after=last needs consumer=<name>, to keep a position under; or give a position")
		}
		return nil
	}
	kept, known, err := e.Acked.Position(ctx, s.owner)
	if err == nil && !known {
		kept, err = e.Acked.First(ctx, hub.Acked{Owner: s.owner, Topic: topic, Seq: s.at})
	}
	switch {
	case err != nil:
		return err
	case after == "last":
		s.at, s.way.By, s.way.Start = kept, gateway.ByLast, hub.After(kept)
	case acknowledges: // Last-Event-ID says what the consumer has
		e.Acked.Acked(hub.Acked{Owner: s.owner, Topic: topic, Seq: s.at})
	}
	return nil
}

// socket is a subscriber's WebSocket.
type socket struct {
	gateway.Socket
	g     *Gateway // static
	owner string   // static: of the kept position, "" for none
}

// OnPong acknowledges.
func (s *socket) OnPong(_ *ws.Conn, p []byte) {
	if s.owner != "" {
		s.Acknowledge(s.owner, p)
	}
}

// OnMessage counts what a subscriber says, and lets it be.
func (s *socket) OnMessage(*ws.Turn, *ws.Conn, ws.Kind, []byte) { s.g.ignored.Add(1) }

// Accept answers GET /ws/events with an upgrade.
func (g *Gateway) Accept(r *ws.Request, c *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) {
	s, err := g.connect(r, c)
	if err != nil {
		return nil, nil, gateway.Refuse(r, err, g.Refusal(err))
	}
	if s.owner != "" {
		return s, &g.proving, nil
	}
	return s, &g.o.Limits, nil
}

func (g *Gateway) connect(r *ws.Request, c *ws.Conn) (*socket, error) {
	ctx := gateway.NewWithin(context.Background(), r, waitTime)
	defer ctx.End()
	if !g.o.Edge.Origins.Allowed(r.Get("Origin"), r.Host) {
		return nil, gateway.ErrOrigin
	}
	s := &socket{g: g}
	sub, err := g.subscribe(ctx, &s.Session, r.Query(), gateway.Bearer(http.Header{"Authorization": r.Header.Values("Authorization")}), "", false)
	if err != nil {
		return nil, err
	}
	s.owner = sub.owner
	c.Send(sub.first...)
	return s, s.Open(ctx, g.o.Edge, c, sub.way)
}

// stream answers GET /ws/events without an upgrade: Server-Sent Events.
func (g *Gateway) stream(w http.ResponseWriter, r *http.Request) error {
	if !acceptsEvents(r) {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		return &worded{http.StatusUpgradeRequired, "connect with a WebSocket, or ask for Server-Sent Events with Accept: text/event-stream"}
	}
	if !g.o.Edge.Origins.Allowed(r.Header.Get("Origin"), r.Host) {
		return gateway.ErrOrigin
	}
	if r.Method == http.MethodHead { // a stream without a body is none
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		return nil
	}
	session := &hub.Session{}
	sub, err := g.subscribe(r.Context(), session, r.URL.Query(), gateway.Bearer(r.Header), r.Header.Get("Last-Event-ID"), true)
	if err != nil {
		return err
	}
	from := gateway.RemoteAddr(r)
	if err := g.o.Edge.Places.Take(from); err != nil {
		return err
	}
	defer g.o.Edge.Places.Release(from)
	conn := &stream{edge: g.o.Edge, limit: g.o.Limits.Queue, wake: make(chan struct{}, 1), drained: session.Drained}
	session.Conn = conn
	conn.Send(sub.first...)
	if _, err := g.o.Edge.Begin(r.Context(), session, sub.way); err != nil {
		return err
	}
	g.o.Edge.Opened(session, 0)
	defer func() {
		g.o.Edge.Hub.Unsubscribe(session)
		code, reason := conn.why()
		g.o.Edge.Closed(session, 0, code, reason)
	}()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy that waits for more would hold events back
	w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // the server's is for requests; this one lasts
	if _, err := w.Write([]byte(": connected\n\n")); err != nil {
		return nil
	}
	if err := control.Flush(); err != nil {
		return errors.New("events: this server's responses cannot be streamed")
	}
	conn.write(r.Context(), w, g.o.KeepAlive, g.o.Stall)
	return nil
}

func acceptsEvents(r *http.Request) bool {
	for _, v := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(v, ",") {
			kind, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(kind), "text/event-stream") {
				return true
			}
		}
	}
	return false
}
