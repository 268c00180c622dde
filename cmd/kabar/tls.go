package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/kabar-io/kabar/internal/config"
)

// lookAgain is how often the certificate's files are looked at, when somebody
// connects.
const lookAgain = 5 * time.Second

// certificate is the one of the files, read again when they change.
type certificate struct {
	c   config.TLS   // static
	log *slog.Logger // static

	mu     sync.Mutex
	read   *tls.Certificate // guarded by mu
	of     [2]written       // guarded by mu; the files as they were then
	looked time.Time        // guarded by mu
}

// tlsConfig is how the listeners speak TLS, nil where they do not.
func tlsConfig(c config.TLS, log *slog.Logger) (*tls.Config, error) {
	switch {
	case c.Cert == "" && c.Key == "":
		return nil, nil //nolint:nilnil // there is no TLS
	case c.Cert == "" || c.Key == "":
		return nil, errors.New("tls.cert and tls.key belong together: set both, or none")
	}
	f := &certificate{c: c, log: log}
	if _, err := f.get(nil); err != nil {
		return nil, err
	}
	// A WebSocket is opened by HTTP/1.1.
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: f.get}, nil
}

// get is the certificate now. One that cannot be read leaves the one before.
func (f *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.read != nil && time.Since(f.looked) < lookAgain {
		return f.read, nil
	}
	f.looked = time.Now()
	files, err := look(f.c.Cert, f.c.Key)
	if err == nil && f.read != nil && files == f.of {
		return f.read, nil
	}
	var read tls.Certificate
	if err == nil {
		read, err = tls.LoadX509KeyPair(f.c.Cert, f.c.Key)
	}
	switch {
	case err == nil:
		if f.read != nil {
			f.log.Info("the certificate has changed, and the new one is used", "file", f.c.Cert)
		}
		f.read, f.of = &read, files
	case f.read == nil:
		return nil, fmt.Errorf("the certificate of tls.cert and tls.key cannot be used: %w", err)
	default:
		f.log.Error("the certificate has changed and cannot be used; the one before stays", "error", err)
	}
	return f.read, nil
}

// written is what shows that a file was written: a newer one may have an older
// time, where it was copied with it.
type written struct {
	at, size int64 // Unix nanoseconds, bytes
}

func look(cert, key string) (files [2]written, err error) {
	for i, name := range []string{cert, key} {
		info, err := os.Stat(name)
		if err != nil {
			return files, err
		}
		files[i] = written{info.ModTime().UnixNano(), info.Size()}
	}
	return files, nil
}

// trusting is how to reach a server of this configuration: its certificate is
// the one in the file, for whatever name that is.
func trusting(c config.TLS) (*tls.Config, error) {
	file, err := os.ReadFile(c.Cert)
	if err != nil {
		return nil, err
	}
	roots, name := x509.NewCertPool(), ""
	block, _ := pem.Decode(file)
	if block == nil || !roots.AppendCertsFromPEM(file) {
		return nil, fmt.Errorf("%s holds no certificate", c.Cert)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Cert, err)
	}
	if len(cert.DNSNames) > 0 {
		name = cert.DNSNames[0]
	}
	return &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12}, nil
}
