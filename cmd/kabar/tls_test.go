package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/kabar-io/kabar/internal/config"
)

// writeCertificate makes a certificate of its own for a name, and returns who trusts it.
func writeCertificate(t *testing.T, c config.TLS, name string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{c.Cert: {Type: "CERTIFICATE", Bytes: der}, c.Key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust, err := trusting(c)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func certificateFiles(t *testing.T) config.TLS {
	t.Helper()
	folder := t.TempDir()
	return config.TLS{Cert: filepath.Join(folder, "cert.pem"), Key: filepath.Join(folder, "key.pem")}
}

// TestTLS speaks https, wss and publishing with a server of its own certificate.
func TestTLS(t *testing.T) {
	c := certificateFiles(t)
	trust := writeCertificate(t, c, "kabar.example")
	data := filepath.Join(t.TempDir(), "data")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	flags := []string{"--listen", addr, "--data", data, "--tls-cert", c.Cert, "--tls-key", c.Key}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan string, 1)
	var out bytes.Buffer
	go func() {
		var errs bytes.Buffer
		exit := run(ctx, append([]string{"serve", "--log-level", "error"}, flags...), nil, &out, &errs)
		done <- fmt.Sprint(exit, " ", errs.String())
	}()
	http.DefaultTransport.(*http.Transport).TLSClientConfig = trust
	defer func() {
		http.DefaultClient.CloseIdleConnections()
		http.DefaultTransport.(*http.Transport).TLSClientConfig = nil
	}()
	waitReady(t, "https://"+addr+"/readyz", done)
	ws, _, err := websocket.Dial(t.Context(), "wss://"+addr+"/websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	var said, errs bytes.Buffer
	if exit := run(t.Context(), append([]string{"publish", "feed", "Halo"}, flags...), nil, &said, &errs); exit != 0 {
		t.Fatalf("publish: %d %s", exit, errs.String())
	}
	if _, line, err := ws.Read(t.Context()); err != nil || !strings.Contains(string(line), "Halo") {
		t.Fatalf("heard %q, %v", line, err)
	}
	_ = ws.CloseNow()
	stop()
	if end := <-done; end != "0 " {
		t.Errorf("serve ended with %q", end)
	}
	if !strings.Contains(out.String(), "https://"+addr+"/setup") {
		t.Errorf("the first start says %q", out.String())
	}
}

// TestACertificateIsReadAgain: a new one is used, a broken one is not.
func TestACertificateIsReadAgain(t *testing.T) {
	c := certificateFiles(t)
	writeCertificate(t, c, "one.example")
	var log bytes.Buffer
	f := &certificate{c: c, log: slog.New(slog.NewTextHandler(&log, nil))}
	name := func() string {
		t.Helper()
		f.looked = time.Time{}
		got, err := f.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return got.Leaf.DNSNames[0]
	}
	later := func(by time.Duration) {
		if err := os.Chtimes(c.Cert, time.Time{}, time.Now().Add(by)); err != nil {
			t.Fatal(err)
		}
	}
	if got := name(); got != "one.example" {
		t.Errorf("got %s", got)
	}
	writeCertificate(t, c, "two.example")
	later(time.Hour)
	if got := name(); got != "two.example" {
		t.Errorf("got %s", got)
	}
	if err := os.WriteFile(c.Cert, []byte("half a certif"), 0o600); err != nil {
		t.Fatal(err)
	}
	later(2 * time.Hour)
	if got := name(); got != "two.example" || !strings.Contains(log.String(), "the one before stays") {
		t.Errorf("got %s, and the log %q", got, log.String())
	}
}

// TestARenewedCertificateMayLookOld: one that was copied with its time is older
// than the key, and read all the same; and so is one of the same time.
func TestARenewedCertificateMayLookOld(t *testing.T) {
	c := certificateFiles(t)
	f := &certificate{c: c, log: slog.New(slog.DiscardHandler)}
	now := time.Now()
	for _, of := range []struct {
		name string
		at   time.Time
	}{
		{"one.example", now.Add(-48 * time.Hour)},
		{"two.example", now.Add(-time.Hour)},
		{"a-longer-one.example", now.Add(-time.Hour)},
	} {
		writeCertificate(t, c, of.name)
		for file, at := range map[string]time.Time{c.Cert: of.at, c.Key: now} {
			if err := os.Chtimes(file, at, at); err != nil {
				t.Fatal(err)
			}
		}
		f.looked = time.Time{}
		got, err := f.get(nil)
		if err != nil || got.Leaf.DNSNames[0] != of.name {
			t.Errorf("%v, not %s: %v", got.Leaf.DNSNames, of.name, err)
		}
	}
}

func TestTLSNeedsBoth(t *testing.T) {
	for _, c := range []config.TLS{{Cert: "a"}, {Key: "b"}, {Cert: "/no/such", Key: "/no/such"}} {
		if _, err := tlsConfig(c, nil); err == nil || !strings.Contains(err.Error(), "tls.cert") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
