package checker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// slowWindow is how much of what a slow client does not take is on its own
// side. A smaller one makes the kernel dribble, which is another thing.
const slowWindow = 32 << 10

// answerTime is how long an answer may take before it is asked for again.
const answerTime = 10 * time.Second

// refused is an answer that another try does not mend.
type refused struct {
	what   string
	status int
	body   string
}

func (r *refused) Error() string { return fmt.Sprintf("%s: %d %s", r.what, r.status, r.body) }

// passing says whether a server that is coming up or going down may answer so.
func passing(status int) bool {
	return status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests
}

// client makes the requests of one party.
type client struct {
	base      string // http://host:port
	transport *http.Transport
	http      *http.Client
	header    http.Header // of upgrades, nil for none of its own
}

// newClient makes a client. A slow one has a small window, so that what it
// does not take waits at the server.
func newClient(base string, slow bool) *client {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	t := &http.Transport{
		MaxIdleConnsPerHost: 4,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := dialer.DialContext(ctx, network, address)
			if tcp, ok := nc.(*net.TCPConn); ok && slow {
				err = errors.Join(err, tcp.SetReadBuffer(slowWindow))
			}
			return nc, err
		},
	}
	return &client{base: base, transport: t, http: &http.Client{Transport: t}}
}

// close ends idle connections.
func (c *client) close() { c.transport.CloseIdleConnections() }

// call asks for one answer: header is of pairs, body JSON or nothing, out where
// the answer goes. The error is *refused where the server answered no.
func (c *client) call(ctx context.Context, method, path string, header [][2]string, body, out any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		in = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, in)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	for _, h := range header {
		r.Header.Set(h[0], h[1])
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		if passing(resp.StatusCode) {
			return fmt.Errorf("%s %s: %s", method, path, resp.Status)
		}
		return &refused{method + " " + path, resp.StatusCode, strings.TrimSpace(string(b))}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return &refused{method + " " + path + ": " + err.Error(), resp.StatusCode, string(b)}
	}
	return nil
}

// insist calls until there is an answer.
func (c *client) insist(ctx context.Context, method, path string, header [][2]string, body, out any) error {
	for {
		err := c.call(ctx, method, path, header, body, out)
		var no *refused
		if err == nil || errors.As(err, &no) {
			return err
		}
		if !pause(ctx, 20*time.Millisecond) {
			return err
		}
	}
}

// pause waits, and says whether ctx is still on.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// dial opens a WebSocket. ping hears the payload of the server's pings.
func (c *client) dial(ctx context.Context, path string, ping func(payload string)) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	//nolint:bodyclose // Dial closes it, and leaves what it holds of a refusal to read
	ws, resp, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(c.base, "http")+path, &websocket.DialOptions{
		HTTPClient: c.http, HTTPHeader: c.header,
		OnPingReceived: func(_ context.Context, p []byte) bool {
			if ping != nil {
				ping(string(p))
			}
			return true
		},
	})
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols && !passing(resp.StatusCode) {
			var b []byte
			if resp.Body != nil {
				b, _ = io.ReadAll(resp.Body)
			}
			return nil, &refused{"GET " + public(path), resp.StatusCode, strings.TrimSpace(string(b))}
		}
		return nil, err
	}
	ws.SetReadLimit(1 << 20)
	return ws, nil
}

// public is a path with its query's secrets left out.
func public(path string) string {
	path, query, _ := strings.Cut(path, "?")
	values, _ := url.ParseQuery(query)
	values.Del("auth")
	values.Del("id")
	values.Del("token")
	if len(values) > 0 {
		path += "?" + values.Encode()
	}
	return path
}

// fair says whether a connection's end is one that the contract knows: the
// server went away, killed or on purpose and saying when to come back, or we
// did.
func fair(err error) bool {
	var closed websocket.CloseError
	return !errors.As(err, &closed) ||
		closed.Code == websocket.StatusGoingAway && strings.HasPrefix(closed.Reason, "retry-after-ms=")
}

// position reads <epoch>:<seq> or <seq>.
func position(text string) (uint64, bool) {
	_, n, both := strings.Cut(text, ":")
	if !both {
		n = text
	}
	seq, err := strconv.ParseUint(n, 10, 64)
	return seq, err == nil
}
