package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// errAbsent says that the product does not have what is to be measured.
var errAbsent = errors.New("not available")

// overTLS measures the memory of idle sessions under TLS. The other end is here:
// the load tool knows no TLS.
func overTLS(ctx context.Context, b *bench, _ job, who string) (Values, error) {
	help, _ := exec.CommandContext(ctx, b.bin("kabar"), "serve", "--help").Output()
	if !strings.Contains(string(help), "--tls-cert") {
		return nil, fmt.Errorf("%w: kabar serve has no --tls-cert", errAbsent)
	}
	cert, key, err := b.certificate()
	if err != nil {
		return nil, err
	}
	n := 5000
	if b.quick {
		n = 1000
	}
	return b.on(ctx, who, setup{env: lean, args: []string{"--tls-cert=" + cert, "--tls-key=" + key}}, func(s *server) (Values, error) {
		time.Sleep(calm)
		v := Values{"dirty_before_kb": s.privateDirty()}
		conns, err := openTLS(ctx, s.address(), candidates[who].path, n)
		defer func() {
			for _, c := range conns {
				_ = c.Close()
			}
		}()
		if err != nil {
			return nil, fmt.Errorf("%w\n%s", err, s.log)
		}
		time.Sleep(3 * time.Second)
		v["connections"], v["dirty_kb"] = float64(len(conns)), s.privateDirty()
		v["bytes_each"] = (v["dirty_kb"] - v["dirty_before_kb"]) * 1024 / v["connections"]
		return v, nil
	})
}

// openTLS opens n WebSockets, four at once.
func openTLS(ctx context.Context, address, path string, n int) ([]net.Conn, error) {
	var mu sync.Mutex
	var conns []net.Conn
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}}
	open := func(int) error {
		c, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		mu.Lock()
		conns = append(conns, c)
		mu.Unlock()
		_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", path, address)
		if err != nil {
			return err
		}
		answer := make([]byte, 1024)
		k, err := c.Read(answer)
		if err == nil && !strings.HasPrefix(string(answer[:k]), "HTTP/1.1 101 ") {
			err = fmt.Errorf("refused: %s", answer[:k])
		}
		return err
	}
	err := each(n, open)
	return conns, err
}

// privateDirty is the server's own memory, in kB.
func (s *server) privateDirty() float64 {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/smaps_rollup")
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Private_Dirty:" {
			kb, _ := strconv.ParseFloat(f[1], 64)
			return kb
		}
	}
	return 0
}

// certificate makes a certificate for this machine.
func (b *bench) certificate() (cert, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, private.Public(), private)
	if err != nil {
		return "", "", err
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(b.tmp, name)
		err = errors.Join(err, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return file
	}
	cert, key = write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs)
	return cert, key, err
}
