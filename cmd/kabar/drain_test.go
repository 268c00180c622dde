package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A connection on which a request has begun is still answered while the server
// stops: whoever asks /readyz on it is sent elsewhere.
func TestWhoStopsIsNotReady(t *testing.T) {
	s := opened(t)
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
