package checker

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// socket is a WebSocket as a source.
type socket struct {
	ws     *websocket.Conn
	decode func([]byte) (frame, error)
	closed func()
}

func (s *socket) next(ctx context.Context) (frame, error) {
	kind, b, err := read(ctx, s.ws)
	if err != nil {
		return frame{}, err
	}
	if kind != websocket.MessageText {
		return frame{}, &refused{what: fmt.Sprintf("a binary frame: %.100q", b)}
	}
	return s.decode(b)
}

// read reads a message. Of a connection that ends between a frame's header and
// what the frame holds, the library makes an empty message: only the next read
// says that it has ended.
func read(ctx context.Context, ws *websocket.Conn) (kind websocket.MessageType, b []byte, err error) {
	kind, b, err = ws.Read(ctx)
	if err == nil && len(b) == 0 {
		_, _, err = ws.Read(ctx)
	}
	return kind, b, err
}

func (s *socket) close() {
	_ = s.ws.CloseNow() // like a client whose network went away
	s.closed()
}

// heard notes a ping of the server.
func (r *record) heard(payload string) {
	seq, ok := position(payload)
	if !ok {
		r.ledger.found.add(Other, "%s got a ping without a position: %q", r.name, payload)
		return
	}
	r.ping(seq)
}

// stream is a response of Server-Sent Events as a source.
type stream struct {
	lines  *bufio.Reader
	body   io.Closer
	cancel context.CancelFunc
	decode func(id string, data []byte) (frame, error)
	closed func()
}

// events opens a stream.
func (c *client) events(ctx context.Context, path, lastID string) (*stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	r.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		cancel()
		return nil, err
	}
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		_ = resp.Body.Close()
		cancel()
		if passing(resp.StatusCode) {
			return nil, fmt.Errorf("GET %s: %s", public(path), resp.Status)
		}
		return nil, &refused{"GET " + public(path) + " as an event stream", resp.StatusCode, strings.TrimSpace(string(b))}
	}
	return &stream{lines: bufio.NewReaderSize(resp.Body, 4<<10), body: resp.Body, cancel: cancel}, nil
}

func (s *stream) next(ctx context.Context) (frame, error) {
	defer context.AfterFunc(ctx, s.cancel)()
	var id, kind string
	var data []string
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return frame{}, err // an event without its empty line is none
		}
		line = strings.TrimRight(line, "\r\n")
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && kind == "close":
			return frame{}, ending(data)
		case line == "" && len(data) > 0:
			return s.decode(id, []byte(strings.Join(data, "\n")))
		case name == "event":
			kind = value
		case name == "id":
			id = value
		case name == "data":
			data = append(data, value)
		}
	}
}

// ending is what the last event of a stream says, as a WebSocket's close would.
func ending(data []string) error {
	var c struct {
		Code   websocket.StatusCode
		Reason string
	}
	if err := json.Unmarshal([]byte(strings.Join(data, "\n")), &c); err != nil {
		return &refused{what: fmt.Sprintf("an event close that is not JSON: %q", data)}
	}
	return websocket.CloseError{Code: c.Code, Reason: c.Reason}
}

func (s *stream) close() {
	s.cancel()
	_ = s.body.Close()
	s.closed()
}
