package canary

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// client is our side of a connection. It reads all the time, as pings want.
type client struct {
	conn   *websocket.Conn
	frames chan []byte // what it heard: few, since it is let go soon
	ended  chan struct{}
	err    error // owned by read; why, once it has ended
}

func newClient(conn *websocket.Conn) *client {
	c := &client{conn: conn, frames: make(chan []byte, 16), ended: make(chan struct{})}
	go c.read()
	return c
}

func (c *client) read() {
	defer close(c.ended)
	for {
		_, frame, err := c.conn.Read(context.Background())
		if err != nil {
			c.err = err
			return
		}
		select {
		case c.frames <- frame:
		default: // nobody asks
		}
	}
}

// close ends it, and waits for that.
func (c *client) close() {
	if c != nil {
		_ = c.conn.CloseNow()
		<-c.ended
	}
}

// soon is when to look again where something is wrong: it may be over.
const soon = time.Second

// Run tries every gateway every so often until ctx ends, the first time after
// that time: a server that has just begun has more to do. A nil Canary never.
func (c *Canary) Run(ctx context.Context) error {
	if c == nil {
		return nil
	}
	next := time.NewTimer(c.o.Every)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			for _, b := range c.birds {
				b.last.close()
			}
			return nil
		case <-next.C:
		}
		var flying sync.WaitGroup
		for _, b := range c.birds {
			flying.Go(func() { c.fly(ctx, b) })
		}
		flying.Wait()
		wait := c.o.Every
		if _, failing := c.Failing(); failing != nil {
			wait = min(wait, soon)
		}
		next.Reset(wait)
	}
}

// fly tries one gateway, and notes what came of it.
func (c *Canary) fly(ctx context.Context, b *bird) {
	trying, cancel := context.WithTimeout(ctx, c.o.Patience)
	defer cancel()
	before := c.o.Journal.Stats().Failures
	_, trouble := c.o.Journal.Failing()
	next, took, err := c.try(trying, b)
	b.last.close()
	b.last = next
	if ctx.Err() != nil { // the server stops
		return
	}
	if err != nil && (trouble != nil || c.o.Journal.Stats().Failures > before) {
		return // nothing can be stored, which the journal says itself
	}
	b.note(err, took)
}

// try opens a connection, and says something that is to arrive on it and on
// the one before. It returns the connection where that heard it: where only the
// one before did not, the next time shows whether this one does.
func (c *Canary) try(ctx context.Context, b *bird) (next *client, took time.Duration, err error) {
	if next, err = c.open(ctx, b); err != nil {
		return nil, 0, fmt.Errorf("a connection was not let in: %w", err)
	}
	text, began := rand.Text(), time.Now()
	if err := next.conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		next.close()
		return nil, 0, fmt.Errorf("nothing could be said: %w", err)
	}
	if err := c.heard(ctx, b, next, text); err != nil {
		next.close()
		return nil, 0, err
	}
	if err := c.heard(ctx, b, b.last, text); err != nil {
		return next, 0, fmt.Errorf("who was connected before: %w", err)
	}
	return next, time.Since(began), nil
}

// heard is why a connection did not hear a text.
func (c *Canary) heard(ctx context.Context, b *bird, by *client, text string) error {
	err := by.hear(ctx, text)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return b.where(text, c.o.Patience)
	}
	return fmt.Errorf("a connection ended: %w", err)
}

// hear waits for a frame with text; nil hears all.
func (c *client) hear(ctx context.Context, text string) error {
	for c != nil {
		select {
		case frame := <-c.frames:
			if bytes.Contains(frame, []byte(text)) {
				return nil
			}
		case <-c.ended:
			return c.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (c *Canary) open(ctx context.Context, b *bird) (*client, error) {
	transport := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return c.o.Dial(ctx) },
		DisableKeepAlives: true,
	}
	//nolint:bodyclose // Dial closes it, and leaves what it holds of a refusal to read
	conn, answer, err := websocket.Dial(ctx, "ws://localhost"+b.path, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: http.Header{key: {c.secret}},
	})
	switch {
	case err == nil:
		return newClient(conn), nil
	case answer != nil && answer.Body != nil && answer.StatusCode != http.StatusSwitchingProtocols:
		why, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
		return nil, fmt.Errorf("%s %s", answer.Status, why)
	}
	var at net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &at) && at.Timeout() {
		return nil, fmt.Errorf("no answer within %v", c.o.Patience)
	}
	if asked := (*url.Error)(nil); errors.As(err, &asked) {
		err = asked.Err // where it went is known, and another for each gateway
	}
	return nil, err
}
