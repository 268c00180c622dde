package e2e

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// raw is a bare TCP connection: what no client would send, and every byte of
// the answer.
type raw struct {
	net.Conn
	r *bufio.Reader
}

func rawDial(t *testing.T, addr string) *raw {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &raw{c, bufio.NewReader(c)}
}

// handshake is an opening handshake; lines are added to it or, where they begin
// with "-", taken out of it by their name.
func handshake(host, path string, lines ...string) string {
	all := []string{
		"Host: " + host, "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}
	for _, line := range lines {
		name, without := strings.CutPrefix(line, "-")
		if !without {
			all = append(all, line)
			continue
		}
		kept := all[:0]
		for _, l := range all {
			if !strings.HasPrefix(l, name+":") {
				kept = append(kept, l)
			}
		}
		all = kept
	}
	return "GET " + path + " HTTP/1.1\r\n" + strings.Join(all, "\r\n") + "\r\n\r\n"
}

func (c *raw) send(t *testing.T, p []byte) {
	t.Helper()
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
}

// pour sends what the server need not read to the end.
func (c *raw) pour(t *testing.T, p []byte) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = c.Write(p)
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
}

// answered reads one HTTP answer. The body of a 101 is not read: it has none.
func (c *raw) answered(t *testing.T) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return res, ""
	}
	if res.ContentLength < 0 && !res.Close {
		t.Errorf("an answer of %d without its length", res.StatusCode)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// ends wants the connection to end here, without one byte more.
func (c *raw) ends(t *testing.T) {
	t.Helper()
	// A reset is an end too: what the client sent on was not read.
	rest, err := io.ReadAll(c.r)
	if len(rest) > 0 {
		t.Errorf("after the answer came %d bytes more: %q", len(rest), rest)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection stays open after the answer")
	}
}

// clientFrame is a masked frame with its first byte given.
func clientFrame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

// closed reads server frames to a Close, and gives its code.
func (c *raw) closed(t *testing.T) int {
	t.Helper()
	for {
		var h [2]byte
		if _, err := io.ReadFull(c.r, h[:]); err != nil {
			t.Fatalf("instead of a Close: %v", err)
		}
		n := int(h[1])
		if n == 126 {
			var l [2]byte
			if _, err := io.ReadFull(c.r, l[:]); err != nil {
				t.Fatal(err)
			}
			n = int(binary.BigEndian.Uint16(l[:]))
		}
		p := make([]byte, n)
		if _, err := io.ReadFull(c.r, p); err != nil {
			t.Fatal(err)
		}
		if h[0] == 0x88 {
			if n < 2 {
				return 1005
			}
			return int(binary.BigEndian.Uint16(p))
		}
	}
}
