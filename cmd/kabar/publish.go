package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/config"
)

type publishCmd struct {
	config.Access `embed:""`
	URL           string   `name:"url" placeholder:"http://HOST:PORT" help:"Where the server is; else the first address of listen."`
	Key           string   `name:"key" help:"An Idempotency-Key: publishing again with it does nothing."`
	To            string   `arg:"" help:"feed, all (a notice to everybody), user:<id>, or instance:<name>:<event>."`
	Text          []string `arg:"" help:"What to publish; for an instance, the event's data as JSON."`
}

// Run publishes one thing and prints where it stands.
func (c *publishCmd) Run(ctx context.Context, out io.Writer) error {
	body, err := c.body(strings.Join(c.Text, " "))
	if err != nil {
		return err
	}
	url, key, err := c.server()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/publish", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("apikey", key)
	if c.Key != "" {
		req.Header.Set("Idempotency-Key", c.Key)
	}
	client := http.DefaultClient
	if c.TLS.Cert != "" {
		trust, err := trusting(c.TLS)
		if err != nil {
			return err
		}
		client = &http.Client{Transport: &http.Transport{TLSClientConfig: trust}}
		defer client.CloseIdleConnections()
	}
	res, err := client.Do(req)
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted):
		return fmt.Errorf("the certificate of %s is not trusted here (%w): give it with --tls-cert", url, untrusted)
	case err != nil:
		return fmt.Errorf("no server answers at %s: %w", url, err)
	}
	defer res.Body.Close()
	var answer struct {
		ID     string `json:"id"`
		Seq    uint64 `json:"seq"`
		Detail string `json:"detail"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&answer); err != nil {
		return fmt.Errorf("what answers at %s is no kabar: %w", url, err)
	}
	if res.StatusCode == http.StatusUnauthorized {
		return errors.New("the server does not take this administrator's key: give its own with --admin-key, or its folder with --data")
	}
	if res.StatusCode != http.StatusAccepted {
		return fmt.Errorf("refused (%d): %s", res.StatusCode, answer.Detail)
	}
	_, err = fmt.Fprintf(out, "%s seq %d\n", answer.ID, answer.Seq)
	return err
}

func (c *publishCmd) body(text string) ([]byte, error) {
	kind, rest, _ := strings.Cut(c.To, ":")
	switch {
	case c.To == "feed":
		return json.Marshal(map[string]any{"topic": "feed", "text": text})
	case c.To == "all":
		return json.Marshal(map[string]any{"users": "all", "message": text})
	case kind == "user":
		id, err := strconv.ParseUint(rest, 10, 53)
		if err != nil {
			return nil, fmt.Errorf("user:%s: write the person's id, a number", rest)
		}
		return json.Marshal(map[string]any{"user": id, "message": text})
	case kind == "instance":
		name, event, ok := strings.Cut(rest, ":")
		if !ok || !json.Valid([]byte(text)) {
			return nil, errors.New(`write instance:<name>:<event> and the data as JSON, such as '{"state":"open"}'`)
		}
		return json.Marshal(map[string]any{"instance": name, "event": event, "data": json.RawMessage(text)})
	}
	return nil, fmt.Errorf("%q is nowhere to publish: write feed, all, user:<id> or instance:<name>:<event>", c.To)
}

// server is where to publish, and the administrator's key: as configured, or
// the one that the server made in its data folder.
func (c *publishCmd) server() (url, key string, err error) {
	url = strings.TrimSuffix(c.URL, "/")
	if url == "" {
		host, port, err := net.SplitHostPort(c.Listen[0])
		if err != nil {
			return "", "", err
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "localhost"
		}
		url = scheme(c.TLS) + "://" + net.JoinHostPort(host, port)
	}
	if key = c.Admin.Key; key != "" {
		return url, key, nil
	}
	b, err := os.ReadFile(filepath.Join(c.Data, "admin.key"))
	if err != nil {
		return "", "", fmt.Errorf("the administrator's key is needed: give --admin-key, or --data with the server's folder (%w)", err)
	}
	return url, strings.TrimSpace(string(b)), nil
}
