package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/coder/websocket"
)

// socket is a WebSocket by a client written elsewhere.
type socket struct{ c *websocket.Conn }

// try opens a WebSocket; a refusal is its HTTP status and body.
func try(t *testing.T, url string, headers ...string) (*socket, int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	c, res, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: caller, HTTPHeader: h})
	if err != nil {
		if res == nil {
			t.Fatalf("%s: %v", url, err)
		}
		body, _ := io.ReadAll(res.Body)
		return nil, res.StatusCode, string(body)
	}
	c.SetReadLimit(1 << 20)
	t.Cleanup(func() { _ = c.CloseNow() })
	return &socket{c}, res.StatusCode, ""
}

// dial opens a WebSocket that must open.
func dial(t *testing.T, url string, headers ...string) *socket {
	t.Helper()
	s, code, body := try(t, url, headers...)
	if s == nil {
		t.Fatalf("%s was refused: %d %s", url, code, body)
	}
	return s
}

// refused opens a WebSocket that must be refused with a status.
func refused(t *testing.T, status int, url string, headers ...string) string {
	t.Helper()
	s, code, body := try(t, url, headers...)
	if s != nil || code != status {
		t.Errorf("%s: %d %s, expected %d", url, code, body, status)
	}
	return body
}

// connect opens the person's direct socket; query is added to its URL.
func (p *person) connect(t *testing.T, query string) *socket {
	t.Helper()
	return dial(t, p.s.wsURL("/ws/connect?auth="+p.code(t)+query))
}

func (s *socket) sendKind(t *testing.T, kind websocket.MessageType, p []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.c.Write(ctx, kind, p); err != nil {
		t.Fatalf("sending %.80q: %v", p, err)
	}
}

func (s *socket) send(t *testing.T, text string) {
	t.Helper()
	s.sendKind(t, websocket.MessageText, []byte(text))
}

// read gives the next frame's text, or the error that ended the connection.
func (s *socket) read(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, p, err := s.c.Read(ctx)
	return string(p), err
}

// next gives the next frame, which must come.
func (s *socket) next(t *testing.T) string {
	t.Helper()
	text, err := s.read(t.Context())
	if err != nil {
		t.Fatalf("instead of a frame: %v", err)
	}
	return text
}

// frame is a frame of direct.
type frame struct {
	Type  int            `json:"type"`
	Data  map[string]any `json:"data"`
	Seq   uint64         `json:"seq"`
	Epoch string         `json:"epoch"`
}

func (s *socket) frame(t *testing.T) frame {
	t.Helper()
	return decoded(t, s.next(t))
}

// expect is frame where only one type will do.
func (s *socket) expect(t *testing.T, kind int) frame {
	t.Helper()
	f := s.frame(t)
	if f.Type != kind {
		t.Fatalf("a frame of type %d came, expected %d: %v", f.Type, kind, f.Data)
	}
	return f
}

// closes reads to the end and wants it to be a close with a code. It gives the
// reason.
func (s *socket) closes(t *testing.T, code int) string {
	t.Helper()
	for {
		text, err := s.read(t.Context())
		if err == nil {
			t.Logf("before the close came %.200q", text)
			continue
		}
		var c websocket.CloseError
		if !errors.As(err, &c) || int(c.Code) != code {
			t.Fatalf("the connection ended with %v, expected close code %d", err, code)
		}
		return c.Reason
	}
}

// say is a MESSAGE frame of direct; ref may be "".
func say(to int, text, ref string) string {
	f := map[string]any{"type": 0, "data": map[string]any{"to": to, "message": text}}
	if ref != "" {
		f["ref"] = ref
	}
	b, err := json.Marshal(f)
	if err != nil {
		panic(err) // a map of texts always encodes
	}
	return string(b)
}

func numbered(i int) string { return fmt.Sprintf("line %d", i) }

func decoded(t *testing.T, text string) frame {
	t.Helper()
	var f frame
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return f
}
