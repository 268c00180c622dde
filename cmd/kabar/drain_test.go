package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/kabar-io/kabar/internal/config"
)

// A connection on which a request has begun is still answered while the server
// stops: whoever asks /readyz on it is sent elsewhere.
func TestWhoStopsIsNotReady(t *testing.T) {
	var c cli
	_, err := config.Load(&c, config.Input{Args: []string{
		"serve", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--log-level", "error",
	}, Stdout: io.Discard, Stderr: io.Discard}, kong.Name("kabar"), kong.BindTo(t.Context(), (*context.Context)(nil)), kong.BindTo(io.Discard, (*io.Writer)(nil)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(t.Context(), &c.Serve.Config, false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	ask := func() (int, string) {
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
		return w.Code, w.Body.String()
	}
	if code, said := ask(); !strings.Contains(said, `{"name":"open","ok":true}`) {
		t.Errorf("before: %d %s", code, said)
	}
	if err := s.drain(t.Context()); err != nil {
		t.Error(err)
	}
	if code, said := ask(); code != http.StatusServiceUnavailable || !strings.Contains(said, `{"name":"open","ok":false,"reason":"the server is stopping"}`) {
		t.Errorf("while it stops: %d %s", code, said)
	}
}
