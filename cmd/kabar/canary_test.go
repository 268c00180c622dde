package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/kabar-io/kabar/internal/api"
	"github.com/kabar-io/kabar/internal/config"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
)

// opened is a server in this process that does not run yet.
func opened(t *testing.T, flags ...string) *server {
	t.Helper()
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data"), "--log-level", "error"}, flags...)
	var c cli
	_, err := config.Load(&c, config.Input{Args: args, Stdout: io.Discard, Stderr: io.Discard},
		kong.Name("kabar"), kong.BindTo(t.Context(), (*context.Context)(nil)), kong.BindTo(io.Discard, (*io.Writer)(nil)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(t.Context(), &c.Serve.Config, false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// withCanary is one that runs until the test's end.
func withCanary(t *testing.T, flags ...string) *server {
	t.Helper()
	s := opened(t, append([]string{"--metrics-public"}, flags...)...)
	stop, done := start(context.Background(), s.run)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		stop()
		if err := <-done; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	return s
}

// ask is an answer of the server's, and its status.
func (s *server) ask(t *testing.T, path string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme(s.c.TLS)+"://"+s.at("")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// ready waits until /readyz answers this, with these words about the canary.
func (s *server) ready(t *testing.T, code int, words ...string) {
	t.Helper()
	var said string
	for range 3000 {
		var is int
		is, said = s.ask(t, "/readyz")
		var body struct {
			Parts []api.Part
		}
		if err := json.Unmarshal([]byte(said), &body); err != nil {
			t.Fatal(said, err)
		}
		i := slices.IndexFunc(body.Parts, func(p api.Part) bool { return p.Name == "canary" })
		all := is == code && i >= 0 && body.Parts[i].OK == (len(words) == 0)
		for _, word := range words {
			all = all && strings.Contains(body.Parts[i].Reason, word)
		}
		if all {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("/readyz never says %d with %q, but %s", code, words, said)
}

// flown waits until the canary has come through each gateway, twice.
func (s *server) flown(t *testing.T) {
	t.Helper()
	for range 3000 {
		n := 0
		for _, stat := range s.canary.Stats() {
			if stat.OK && stat.Count > 1 {
				n++
			}
		}
		if n == 5 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("it never came through: %+v", s.canary.Stats())
}

// TestCanary sees the server's own sessions come through every gateway, unseen
// by people, and /readyz say when what is said there does not arrive.
func TestCanary(t *testing.T) {
	s := withCanary(t, "--canary-every", "50ms", "--lifecycle-settle", "100ms")
	if _, _, err := s.instances.Create(t.Context(), instance.Spec{Name: "lifecycle"}); err != nil {
		t.Fatal(err)
	}
	s.flown(t)
	s.ready(t, http.StatusOK)
	_, metrics := s.ask(t, "/metrics")
	for _, gateway := range []string{"direct", "relay", "bot", "feed", "events"} {
		for _, line := range []string{`kabar_canary_ok{gateway="` + gateway + `"} 1`, `kabar_canary_delivery_seconds_bucket{gateway="` + gateway + `",le="5"}`} {
			if !strings.Contains(metrics, line) {
				t.Errorf("the metrics lack %s", line)
			}
		}
	}
	for _, line := range []string{"kabar_hub_sessions 0\n", "kabar_journal_messages_total 0\n", "kabar_lifecycle_events_total 0\n"} {
		if !strings.Contains(metrics, line) {
			t.Errorf("people see something of it: the metrics lack %q", line)
		}
	}
	if users, err := s.accounts.Users(t.Context(), "", 0, 10); err != nil || len(users) > 0 {
		t.Errorf("%+v, %v", users, err)
	}
	hold := make(chan struct{})
	stuck := s.journal.Do(journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
		<-hold
		return nil, nil
	}))
	s.ready(t, http.StatusServiceUnavailable, "all gateways (since 2", "not stored within 5s")
	close(hold)
	if _, err := stuck.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	s.ready(t, http.StatusOK)
	s.flown(t)
}

// TestCanaryUnderTLS sees it come through with the certificate that is used,
// whatever its name, and only with that.
func TestCanaryUnderTLS(t *testing.T) {
	c := certificateFiles(t)
	writeCertificate(t, c, "kabar.example")
	s := withCanary(t, "--canary-every", "50ms", "--tls-cert", c.Cert, "--tls-key", c.Key)
	s.flown(t)
	other := certificateFiles(t)
	writeCertificate(t, other, "kabar.example")
	foreign, err := tlsConfig(other, s.log)
	if err != nil {
		t.Fatal(err)
	}
	strange := &server{c: s.c, entrance: entrance{listeners: s.listeners, tls: foreign}}
	if _, err := strange.dialSelf(t.Context()); err == nil || !strings.Contains(err.Error(), "not that of tls.cert") {
		t.Errorf("another's certificate: %v", err)
	}
}
