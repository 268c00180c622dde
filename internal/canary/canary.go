package canary

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// Path is before a gateway's name in the path of its canary.
const Path = "/_canary/"

// key is the header that shows that it is us.
const key = "Kabar-Canary"

// limits are of the canary's own connections.
var limits = &ws.Limits{MaxMessage: 256, Queue: 64 << 10, Pending: 4}

// Options says what the canary goes through.
type Options struct {
	Hub     *hub.Hub
	Journal *journal.Journal
	// Keep writes what a gateway's canary writes, in a row that is always the
	// same, inside a change.
	Keep     func(tx *journal.Tx, gateway string) error
	Gateways []Gateway
	// Dial opens a connection to the server's own listener, under TLS where it
	// speaks that.
	Dial     func(ctx context.Context) (net.Conn, error)
	Every    time.Duration // from one time to the next
	Patience time.Duration // how long one time may take; 0: 5 s
}

// Gateway is what the canary needs of one.
type Gateway struct {
	Name   string
	Format hub.Format
	// Say is a message of which Format writes the text, without a time.
	Say func(text string) *journal.Message
}

// Canary is one for each gateway.
type Canary struct {
	// static
	o      Options
	secret string
	birds  map[string]*bird
}

// bird is one gateway's.
type bird struct {
	Gateway     // static
	topic, path string
	last        *client // owned by who flies it: of the time before, nil for none

	mu     sync.Mutex
	stored string // guarded by mu: the newest text that was stored
	failed error  // guarded by mu: why the newest was not
	state  state  // guarded by mu
}

// New makes the canary. It starts nothing.
func New(o Options) *Canary {
	if o.Patience == 0 {
		o.Patience = 5 * time.Second
	}
	c := &Canary{o: o, secret: rand.Text(), birds: map[string]*bird{}}
	for _, g := range o.Gateways {
		c.birds[g.Name] = &bird{Gateway: g, topic: "canary/" + g.Name, path: Path + g.Name}
	}
	return c
}

// Paths are where the canary's own sessions connect. A nil Canary has none.
func (c *Canary) Paths() (all []string) {
	for _, b := range c.sorted() {
		all = append(all, b.path)
	}
	return all
}

// Accept lets the canary's own sessions in, and nobody else.
func (c *Canary) Accept(r *ws.Request, conn *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) {
	s, err := c.connect(r, conn)
	if err != nil {
		return nil, nil, gateway.Refuse(r, err, gateway.JSON(map[string]any{"code": status.Of(err).HTTP(), "message": status.Of(err).Message}))
	}
	return s, limits, nil
}

func (c *Canary) connect(r *ws.Request, conn *ws.Conn) (*session, error) {
	b := c.birds[strings.TrimPrefix(r.Path, Path)]
	if b == nil || subtle.ConstantTimeCompare([]byte(r.Get(key)), []byte(c.secret)) != 1 {
		return nil, status.Errorf(status.NotFound, "", "no WebSocket endpoint is at this path")
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.o.Patience)
	defer cancel()
	s := &session{c: c, b: b}
	s.Session = hub.Session{Conn: conn, Format: b.Format, Topic: b.topic, Inside: hub.Own}
	return s, c.o.Hub.Subscribe(ctx, &s.Session, hub.Now())
}

// session is the server's side of a canary's connection.
type session struct {
	hub.Session
	c *Canary // static
	b *bird   // static
}

// OnMessage says a text to who hears the bird's topic, once it is durable.
func (s *session) OnMessage(_ *ws.Turn, conn *ws.Conn, _ ws.Kind, p []byte) {
	text := string(p)
	conn.Acquire()
	s.c.o.Journal.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		m := s.b.Say(text)
		m.Time = tx.Now()
		tx.After(func() {
			s.b.keep(text, nil)
			s.c.o.Hub.Tell(s.b.topic, m, nil)
		})
		return nil, s.c.o.Keep(tx, s.b.Name)
	})).Then(func(_ journal.Result, err error) {
		defer conn.Release()
		if err != nil {
			s.b.keep(text, err)
		}
	})
}

// keep notes what became of a text in the journal.
func (b *bird) keep(text string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed = err; err == nil {
		b.stored = text
	}
}

// where says how far a text came that did not arrive.
func (b *bird) where(text string, patience time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.stored == text:
		return fmt.Errorf("what was said was stored, and not delivered within %v", patience)
	case b.failed != nil:
		return fmt.Errorf("what was said was not stored: %w", b.failed)
	}
	return fmt.Errorf("what was said was not stored within %v", patience)
}

// Ping carries nothing: nobody keeps a canary's position.
func (*session) Ping(_ *ws.Conn, dst []byte) []byte { return dst }

// OnPong is of no use to anybody.
func (*session) OnPong(*ws.Conn, []byte) {}

// OnDrain lets the session go on.
func (s *session) OnDrain(*ws.Conn) { s.Drained() }

// OnClose takes the session out.
func (s *session) OnClose(*ws.Turn, *ws.Conn, uint16, string) { s.c.o.Hub.Unsubscribe(&s.Session) }
