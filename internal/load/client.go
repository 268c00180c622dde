package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

// client is one connection, opened again where it ends before its time.
type client struct {
	// static
	person  *person // who it is, nil for nobody in particular
	partner *client // whom it speaks to, nil where nobody is spoken to
	extra   bool    // it is not one of those that were asked for
	said    *said   // what it said on its connection, nil where nobody looks
	asks    bool    // it has no acknowledgement but the answers that are still to come

	conn   atomic.Pointer[websocket.Conn] // nil while there is none
	joined atomic.Bool                    // it was connected once

	// owned by its goroutine
	seq    uint64 // of the last frame that it heard
	socket string // relay's id of its sockets
}

// again is when to try once more where the server does not say.
const again = time.Second

// live connects a client and listens until ctx ends, or it is told not to come
// back. While it was never connected it tries until joining ends. settled is
// called once: it is connected, or never will be.
func (r *run) live(ctx, joining context.Context, c *client, settled func()) {
	defer func() {
		if !c.joined.Load() {
			settled()
		}
	}()
	for {
		trying := ctx
		if !c.joined.Load() {
			trying = joining
		}
		began := time.Now()
		conn, err := r.open(trying, c)
		var wait time.Duration
		var more bool
		if err == nil {
			stop := context.AfterFunc(ctx, func() { _ = conn.CloseNow() })
			c.conn.Store(conn)
			if c.joined.Swap(true) {
				r.tally.rejoined.Add(1)
			} else {
				r.tally.connect.add(time.Since(began))
				r.tally.joined.Add(1)
				settled()
			}
			r.present(c, 1)
			err = r.listen(c, conn)
			r.present(c, -1)
			c.conn.Store(nil)
			stop()
			_ = conn.CloseNow()
			if ctx.Err() != nil {
				return
			}
			if c.asks { // what was not answered may have been heard or not
				for _, m := range c.said.begin() {
					r.tally.disowned(m)
				}
			}
			wait, more = r.closed(err)
		} else {
			if trying.Err() != nil {
				return
			}
			wait, more = r.turnedAway(err)
		}
		if !more || !pause(ctx, wait) {
			return
		}
	}
}

// present counts a client that is connected, or is not any more.
func (r *run) present(c *client, n int64) {
	if !c.extra {
		r.tally.here.Add(n)
	}
}

// open dials once, in bounded time.
func (r *run) open(ctx context.Context, c *client) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return r.load.dial(ctx, c)
}

// listen reads until the connection ends. Its frames live until the next one.
func (r *run) listen(c *client, conn *websocket.Conn) error {
	frame := make([]byte, 0, 512)
	for {
		// The end of ctx closes the connection: a context here would cost more than the frame.
		_, in, err := conn.Reader(context.Background())
		if err != nil {
			return err
		}
		if frame, err = readInto(frame[:0], in); err != nil {
			return err
		}
		r.load.hear(c, frame)
	}
}

func readInto(b []byte, in io.Reader) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := in.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

// upgrade opens a WebSocket.
func (r *run) upgrade(ctx context.Context, path string, header http.Header) (*websocket.Conn, error) {
	//nolint:bodyclose // Dial closes it, and leaves what it holds of a refusal to read
	conn, resp, err := websocket.Dial(ctx, r.server.websocket(path), &websocket.DialOptions{HTTPClient: r.dialer, HTTPHeader: header})
	if err == nil {
		conn.SetReadLimit(1 << 20)
		return conn, nil
	}
	if resp == nil || resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, err
	}
	var b []byte
	if resp.Body != nil {
		b, _ = io.ReadAll(resp.Body)
	}
	return nil, refusalOf(resp.StatusCode, resp.Header, b)
}

// turnedAway notes why there was no connection, and says when to try again and
// whether at all.
func (r *run) turnedAway(err error) (wait time.Duration, more bool) {
	no := refused(err)
	if no == nil {
		r.tally.refusals.note(unreachable(err), 1)
		return again, true
	}
	r.tally.refusals.note(no.Error(), 1)
	wait = again
	if no.again > 0 {
		wait = no.again
	}
	return wait, no.status == http.StatusTooManyRequests || no.status >= 500
}

// unreachable is a network's error without the addresses, of which no two are
// the same and some hold a token.
func unreachable(err error) string {
	var timeout net.Error
	var number syscall.Errno
	var at *url.Error
	switch {
	case errors.As(err, &number):
		return number.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was cut"
	case errors.As(err, &at): // what it says holds the token
		return at.Err.Error()
	}
	return err.Error()
}

// final are the codes of closes after which coming back is of no use.
var final = map[websocket.StatusCode]bool{1002: true, 1003: true, 1007: true, 1009: true, 4001: true, 4003: true, 4004: true, 4009: true, 4010: true}

// closed notes how a connection ended, and says when to come back and whether
// at all.
func (r *run) closed(err error) (wait time.Duration, more bool) {
	var end websocket.CloseError
	if !errors.As(err, &end) {
		r.tally.closes.note("1006 "+unreachable(err), 1)
		return again, true
	}
	text, told := strings.CutPrefix(end.Reason, "retry-after-ms=")
	ms, err := strconv.Atoi(text)
	if told && err == nil && ms >= 0 {
		r.tally.closes.note(fmt.Sprintf("%d with a time to come back", end.Code), 1)
		return time.Duration(ms) * time.Millisecond, true
	}
	r.tally.closes.note(strings.TrimSpace(fmt.Sprintf("%d %s", end.Code, end.Reason)), 1)
	return again, !final[end.Code]
}

// write sends a text frame on a client's connection. A frame that was not sent
// is noted.
func (r *run) write(ctx context.Context, c *client, frame []byte) {
	conn := c.conn.Load()
	if conn == nil {
		r.tally.notSent("the sender was not connected")
		return
	}
	if err := conn.Write(ctx, websocket.MessageText, frame); err != nil {
		if ctx.Err() == nil {
			r.tally.notSent("the sender's connection ended")
		}
		return
	}
	r.tally.sent.Add(1)
}

// heard notes a frame with a message that a client was to hear. One that comes
// again, after a connection began anew, is passed over.
func (r *run) heard(c *client, frame []byte) {
	now := r.now()
	m, ok := r.find(frame)
	if !ok {
		return
	}
	if seq := position(frame); seq > 0 {
		if seq <= c.seq {
			r.tally.repeated.Add(1)
			return
		}
		c.seq = seq
	}
	r.tally.heard(m, now)
}

// after is where a client's connection goes on, as a parameter; before it has
// heard anything it is otherwise.
func (c *client) after(otherwise string) string {
	if c.seq == 0 {
		return otherwise
	}
	return "&after=" + strconv.FormatUint(c.seq, 10)
}

// pause waits, and says whether ctx is still on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
