package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

// TestMain is the program itself where the test says so.
func TestMain(m *testing.M) {
	if os.Getenv("WSECHO_TEST_RUN") != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

func TestEcho(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "--listen", "127.0.0.1:0", "--max", "64KiB")
	cmd.Env = append(os.Environ(), "WSECHO_TEST_RUN=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_, url, ok := strings.Cut(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatal(line, err, stderr.String())
	}
	dial := func() *websocket.Conn {
		c, _, err := websocket.Dial(ctx, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.SetReadLimit(1 << 20)
		t.Cleanup(func() { _ = c.CloseNow() })
		return c
	}
	c := dial()
	for _, m := range []string{"", "hello", strings.Repeat("é", 32<<10)} {
		if err := c.Write(ctx, websocket.MessageText, []byte(m)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || string(got) != m {
			t.Fatal(len(got), err)
		}
	}
	tooBig := dial()
	if err := tooBig.Write(ctx, websocket.MessageBinary, make([]byte, 64<<10+1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := tooBig.Read(ctx); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Error(err)
	}
	rs, err := http.Get("http" + strings.TrimPrefix(url, "ws"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, rs.Body)
	_ = rs.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if rs.StatusCode != http.StatusUpgradeRequired {
		t.Error(rs.Status)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
		t.Error(err, stderr.String())
	}
}

func TestCommandLine(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want int
		says string
	}{
		{[]string{"--help"}, 0, "-max"},
		{[]string{"--max", "many"}, 2, "64KiB"},
		{[]string{"--max", "-1"}, 2, "64KiB"},
		{[]string{"extra"}, 2, "extra"},
		{[]string{"--listen", "nowhere"}, 1, "nowhere"},
	} {
		var stderr bytes.Buffer
		if got := run(tt.args, io.Discard, &stderr); got != tt.want || !strings.Contains(stderr.String(), tt.says) {
			t.Errorf("%v: %d %q", tt.args, got, stderr.String())
		}
	}
	for in, want := range map[string]size{"0": 0, "1000": 1000, "64KiB": 64 << 10, "16MiB": 16 << 20, "1GiB": 1 << 30} {
		var s size
		if err := s.Set(in); err != nil || s != want {
			t.Errorf("%s: %d %v", in, s, err)
		}
	}
}
