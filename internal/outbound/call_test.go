package outbound

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/process"
)

func TestCall(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusTeapot)
		_, _ = fmt.Fprintf(w, "%s %s %s", r.Method, r.UserAgent(), b)
	}))
	defer s.Close()
	c := client(t, Options{UserAgent: "Kabar/1"})
	want := "PUT Kabar/1 body"
	a, err := c.Call(t.Context(), process.Request{Method: http.MethodPut, URL: s.URL, Body: []byte("body"), MaxAnswer: len(want)})
	if err != nil || a.Status != 418 || string(a.Body) != want {
		t.Errorf("%d %s, %v", a.Status, a.Body, err)
	}
	if _, err = c.Call(t.Context(), process.Request{Method: http.MethodPut, URL: s.URL, Body: []byte("body"), MaxAnswer: len(want) - 1}); !errors.Is(err, errTooLarge) {
		t.Errorf("a byte too much: %v", err)
	}
	if _, err = New(Options{}).Call(t.Context(), process.Request{Method: http.MethodGet, URL: s.URL}); !errors.Is(err, ErrForbidden) {
		t.Errorf("loopback: %v", err)
	}
	slow := raw(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx")
		_, _ = io.Copy(io.Discard, conn)
	})
	if _, err = client(t, Options{Timeout: 300 * time.Millisecond}).Call(t.Context(), process.Request{Method: http.MethodGet, URL: slow, MaxAnswer: 9}); !errors.Is(err, errSlow) {
		t.Errorf("half a body: %v", err)
	}
	away := httptest.NewServer(http.RedirectHandler(s.URL, http.StatusFound))
	defer away.Close()
	if a, err := c.Call(t.Context(), process.Request{Method: http.MethodGet, URL: away.URL, MaxAnswer: 100}); err != nil || a.Status != 302 {
		t.Errorf("a redirect: %+v, %v", a, err)
	}
}
