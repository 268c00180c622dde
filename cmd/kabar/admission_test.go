package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/kabar-io/kabar/internal/ws"
)

// TestEveryDoorIsGuarded: limit.connects holds at every path where a WebSocket
// can be opened, and what a gateway says is in its own words.
func TestEveryDoorIsGuarded(t *testing.T) {
	s := opened(t, "--limit-connects", "1/h")
	defer s.close()
	paths := []string{"/", "/socket", "/ws/connect", "/ws/events", "/websocket", "/an/endpoint"}
	own := s.canary.Paths() // those of the server's own sessions, who have a secret
	if len(own) == 0 || len(s.routes.sockets) != len(paths)-1+len(own) {
		t.Fatalf("there are paths that this test does not know: %v", s.routes.sockets)
	}
	ask := func(path string) *ws.Refusal {
		t.Helper()
		accept := s.routes.sockets[path]
		if accept == nil {
			accept = s.routes.bots
		}
		_, _, refusal := accept(&ws.Request{Path: path, Host: "localhost", RawQuery: "close_reason=1"}, nil)
		if refusal == nil {
			t.Fatalf("%s is open", path)
		}
		return refusal
	}
	for _, path := range own {
		if f := ask(path); f.Status != http.StatusNotFound {
			t.Errorf("%s: %+v", path, f)
		}
	}
	for range 3 { // what is refused there uses nothing of it
		if f := ask("/ws/connect"); f.Status != http.StatusBadRequest {
			t.Fatalf("the first is not let in: %+v", f)
		}
	}
	listener := httptest.NewServer(s.http.Handler)
	defer listener.Close()
	first, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(listener.URL, "http")+"/websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = first.CloseNow()
		if err := s.sockets.Shutdown(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}()
	for _, path := range paths {
		f := ask(path)
		if f.Status != http.StatusServiceUnavailable || f.Code != 4029 || !strings.HasPrefix(f.Reason, "retry-after-ms=") {
			t.Errorf("%s: %+v", path, f)
		}
	}
	for path, want := range map[string]string{
		"/":            `"ok":false,"code":503,"msg":"BUSY"`,
		"/ws/connect":  `"code":503,"data":null,"error":"Service Unavailable"`,
		"/ws/events":   `"status":503,"error":"Service Unavailable","message":[`,
		"/websocket":   `"code":503,"error":"Service Unavailable","message":`,
		"/an/endpoint": `{"error":{"code":"BUSY"`,
	} {
		if body := string(ask(path).Body); !strings.Contains(body, want) {
			t.Errorf("%s says %s", path, body)
		}
	}
}
