package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answerTime is how long a call or a handshake may take.
const answerTime = 30 * time.Second

// refusal is a server's no, to a call or to a connection.
type refusal struct {
	status int
	words  string        // what it says
	again  time.Duration // when to come back, 0 where it does not say
}

func (r *refusal) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", r.status, r.words))
}

// refused is an error as the refusal that it is, nil where it is none.
func refused(err error) *refusal {
	var no *refusal
	errors.As(err, &no)
	return no
}

func refusalOf(status int, header http.Header, body []byte) *refusal {
	r := &refusal{status: status, words: words(body)}
	if r.words == "" {
		r.words = http.StatusText(status)
	}
	if s, err := strconv.Atoi(header.Get("Retry-After")); err == nil && s >= 0 {
		r.again = time.Duration(s) * time.Second
	}
	return r
}

// words finds what an error says, in whichever dialect it says it.
func words(body []byte) string {
	var in map[string]any
	if json.Unmarshal(body, &in) != nil {
		return strings.TrimSpace(string(body[:min(len(body), 200)]))
	}
	for _, around := range []string{"error", "data"} {
		if inner, ok := in[around].(map[string]any); ok {
			in = inner
		}
	}
	for _, name := range []string{"details", "detail", "message", "msg", "error", "code"} {
		switch v := in[name].(type) {
		case string:
			if v != "" {
				return v
			}
		case []any:
			if len(v) > 0 {
				return fmt.Sprint(v[0])
			}
		}
	}
	return ""
}

// server makes the calls to the server.
type server struct {
	// static
	base string // http://host:port
	key  string
	http *http.Client
}

func newServer(base, key string, known *tls.Config) *server {
	return &server{base: strings.TrimSuffix(base, "/"), key: key, http: &http.Client{
		Timeout: answerTime,
		// The key is for this server alone, wherever it sends us.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: known, MaxIdleConnsPerHost: 64, MaxConnsPerHost: 64,
		},
	}}
}

type object = map[string]any

// asAdmin and asBearer are the headers of a call.
func (s *server) asAdmin() [2]string        { return [2]string{"apikey", s.key} }
func asBearer(token string) [2]string       { return [2]string{"Authorization", "Bearer " + token} }
func (s *server) close()                    { s.http.CloseIdleConnections() }
func (s *server) websocket(p string) string { return "ws" + strings.TrimPrefix(s.base, "http") + p }

// call asks for one answer: body is JSON or nil, out is where the answer goes,
// a *[]byte for one that is no JSON, or nil. The error is a *refusal where the server said no.
func (s *server) call(ctx context.Context, method, path string, who [2]string, body, out any) error {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		in = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, s.base+path, in)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if who[0] != "" {
		r.Header.Set(who[0], who[1])
	}
	resp, err := s.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 300:
		return refusalOf(resp.StatusCode, resp.Header, b)
	case out == nil:
		return nil
	}
	if text, ok := out.(*[]byte); ok {
		*text = b
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("what answers at %s is no kabar: %s %s: %w", s.base, method, path, err)
	}
	return nil
}

// greet sees to it that a kabar answers, and that the key is its own.
func (s *server) greet(ctx context.Context) error {
	var health struct{ Status string }
	if err := s.call(ctx, "GET", "/healthz", [2]string{}, nil, &health); err != nil {
		if ctx.Err() != nil {
			return err
		}
		if no := refused(err); no != nil {
			return fmt.Errorf("what answers at %s is no kabar: /healthz says %w", s.base, no)
		}
		return fmt.Errorf("no server answers at %s; is it running there, and is the port right? (%w)", s.base, err)
	}
	var page struct{ Users []struct{} }
	err := s.call(ctx, "GET", "/v1/users?limit=1", s.asAdmin(), nil, &page)
	if no := refused(err); no != nil && no.status == http.StatusUnauthorized {
		return fmt.Errorf("%s does not take this administrator's key: give its own with --admin-key or KABAR_ADMIN_KEY, or its data folder with --data", s.base)
	}
	return err
}

// alone sees to it that nobody is connected, who would feel the load or hear it.
func (s *server) alone(ctx context.Context) error {
	for tries := 1; ; tries++ {
		n, err := s.sessions(ctx)
		if err != nil || n == 0 {
			return err
		}
		if tries == 20 { // those of a run that has just ended are gone by now
			return fmt.Errorf("%s is in use: %.0f connected, who would feel this; take a server that nobody uses, or add --yes if it is meant", s.base, n)
		}
		if !pause(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// sessions is how many are connected now, whoever they are.
func (s *server) sessions(ctx context.Context) (float64, error) {
	var text []byte
	if err := s.call(ctx, "GET", "/metrics", s.asAdmin(), nil, &text); err != nil {
		return 0, fmt.Errorf("%s does not say whether somebody is connected: %w", s.base, err)
	}
	_, after, _ := bytes.Cut(text, []byte("\nkabar_hub_sessions "))
	n, _, _ := bytes.Cut(after, []byte("\n"))
	sessions, err := strconv.ParseFloat(string(n), 64)
	if err != nil {
		return 0, fmt.Errorf("%s does not say in /metrics whether somebody is connected", s.base)
	}
	return sessions, nil
}
