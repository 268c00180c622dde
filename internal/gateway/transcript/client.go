package transcript

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// event is one thing that a client got: a line of the transcript.
type event struct {
	mark string  // "< " a frame, "! " the end, "-> " an answer
	text string  // but for an answer
	http *answer // nil for what is none
}

// answer is an HTTP answer.
type answer struct {
	status int
	header http.Header
	body   string
}

// client is one connection of a named person.
type client struct {
	conn   *websocket.Conn
	cancel context.CancelFunc
	done   chan struct{} // closed when nothing more comes

	mu    sync.Mutex
	got   []event       // guarded by mu
	fresh chan struct{} // guarded by mu: closed when there is more
}

func newClient() *client {
	return &client{done: make(chan struct{}), fresh: make(chan struct{}), cancel: func() {}}
}

// connect opens a WebSocket; a refusal is the client's first and last event.
func connect(ctx context.Context, url string, header http.Header) (*client, error) {
	c := newClient()
	conn, res, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		if res == nil {
			return nil, err
		}
		a, err := read(res)
		c.add(event{mark: "! ", http: a})
		close(c.done)
		return c, err
	}
	conn.SetReadLimit(1 << 20)
	reading, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.conn, c.cancel = conn, cancel
	go c.read(reading)
	return c, nil
}

func (c *client) read(ctx context.Context) {
	defer close(c.done)
	for {
		kind, p, err := c.conn.Read(ctx)
		var end websocket.CloseError
		switch {
		case err == nil && kind == websocket.MessageBinary:
			c.add(event{mark: "< ", text: "binary " + strconv.Quote(string(p))})
		case err == nil:
			c.add(event{mark: "< ", text: plain(string(p))})
		case errors.As(err, &end):
			c.add(event{mark: "! ", text: strings.TrimSpace(fmt.Sprintf("close %d %s", end.Code, end.Reason))})
			return
		default:
			c.add(event{mark: "! ", text: "cut off"})
			return
		}
	}
}

// stream opens a stream of server-sent events; each event is received as one
// line, its own lines joined by " ⏎ "; a comment between events is one too.
func stream(ctx context.Context, h *http.Client, url string, header http.Header) (*client, error) {
	c := newClient()
	reading, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.cancel = cancel
	r, err := http.NewRequestWithContext(reading, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if r.Header = header; header.Get("Accept") == "" {
		header.Set("Accept", "text/event-stream")
	}
	res, err := h.Do(r) //nolint:bodyclose // by read or, once the stream has ended, by who reads it
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		a, err := read(res)
		c.add(event{mark: "! ", http: a})
		close(c.done)
		return c, err
	}
	go func() {
		defer close(c.done)
		defer res.Body.Close()
		var lines []string
		in := bufio.NewScanner(res.Body)
		for in.Scan() {
			if in.Text() != "" {
				lines = append(lines, in.Text())
			} else if len(lines) > 0 {
				c.add(event{mark: "< ", text: plain(strings.Join(lines, " ⏎ "))})
				lines = nil
			}
		}
		c.add(event{mark: "! ", text: "cut off"})
	}()
	return c, nil
}

// plain is a text on one line: quoted where it would not show as it is.
func plain(s string) string {
	odd := func(r rune) bool { return r != ' ' && !unicode.IsGraphic(r) }
	if s == "" || !utf8.ValidString(s) || strings.TrimSpace(s) != s || strings.ContainsFunc(s, odd) {
		return strconv.Quote(s)
	}
	return s
}

func (c *client) add(e event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, e)
	close(c.fresh)
	c.fresh = make(chan struct{})
}

// next is the next event; where there is none it waits for one, as long as ctx
// and the connection last.
func (c *client) next(ctx context.Context) (event, bool) {
	for {
		c.mu.Lock()
		fresh := c.fresh
		if len(c.got) > 0 {
			e := c.got[0]
			c.got = c.got[1:]
			c.mu.Unlock()
			return e, true
		}
		c.mu.Unlock()
		if c.isDone() {
			return event{}, false
		}
		select {
		case <-fresh:
		case <-c.done:
		case <-ctx.Done():
			return event{}, false
		}
	}
}

// isDone says that nothing more comes. What came before may wait to be taken.
func (c *client) isDone() bool {
	select {
	case <-c.done:
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.got) == 0
	default:
		return false
	}
}

// isOpen says whether it is a WebSocket that has not ended.
func (c *client) isOpen() bool {
	select {
	case <-c.done:
		return false
	default:
		return c.conn != nil
	}
}

// reach waits until the server has read all that was sent, and until all that
// the server has sent is here.
func (c *client) reach(ctx context.Context) error {
	if !c.isOpen() {
		return nil // a stream has no way to ask; its lines are waited for
	}
	if err := c.conn.Ping(ctx); err != nil {
		select {
		case <-c.done: // it ended meanwhile
		case <-ctx.Done():
			return err
		}
	}
	return nil
}

// leave ends the connection from this side.
func (c *client) leave(code websocket.StatusCode, reason string) error {
	var err error
	if c.conn != nil {
		err = c.conn.Close(code, reason)
	}
	c.cut()
	return err
}

func (c *client) cut() {
	if c.conn != nil {
		_ = c.conn.CloseNow()
	}
	c.cancel()
	<-c.done
}

// request makes an HTTP request.
func request(ctx context.Context, h *http.Client, method, url string, header http.Header, body string) (*answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	r.Header = header
	if body != "" && header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
	}
	res, err := h.Do(r)
	if err != nil {
		return nil, err
	}
	return read(res)
}

func read(res *http.Response) (*answer, error) {
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, errors.Join(err, res.Body.Close())
	}
	return &answer{res.StatusCode, res.Header, strings.TrimSuffix(string(b), "\n")}, res.Body.Close()
}

// line writes an event as a transcript has it. An answer's headers are those
// that the line in the file asks for.
func (e event) line(who, inFile string) string {
	text := e.text
	if e.http != nil {
		text = strconv.Itoa(e.http.status)
		for _, name := range headerNames(inFile) {
			text += " [" + name + ": " + strings.Join(e.http.header.Values(name), ", ") + "]"
		}
		if e.http.body != "" {
			text += " " + plain(e.http.body)
		}
	}
	return who + e.mark + text
}
