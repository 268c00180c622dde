package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if args := os.Getenv(asServer); args != "" {
		os.Exit(run(context.Background(), strings.Split(args, "\n"), nil, os.Stdout, os.Stderr)) //nolint:forbidigo // it is main here
	}
	goleak.VerifyTestMain(m)
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "kabar.yaml")
	if err := os.WriteFile(file, []byte("listen: 127.0.0.1:0\nfeed:\n  publsh: anyone\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bots := t.TempDir()
	if err := os.WriteFile(filepath.Join(bots, "bot.yaml"), []byte("process: bot\noutputs: { x: string }\nrules:\n  - reply: { nothing: 1 }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args    string
		environ []string
		exit    int
		says    []string
	}{
		{"serve --config " + file, nil, 2, []string{file + ":3", "publsh", "feed.publish"}},
		{"config check --config " + file, nil, 2, []string{"feed.publish"}},
		{"serve --feed-publsh anyone", nil, 2, []string{"feed-publish"}},
		{"serve", []string{"KABAR_FEED_PUBLSH=anyone"}, 2, []string{"KABAR_FEED_PUBLISH"}},
		{"serve --data " + t.TempDir() + " --listen " + taken.Addr().String(), nil, 1, []string{"taken", "--listen"}},
		{"serve --listen 127.0.0.1:0 --data " + file, nil, 1, []string{"data folder"}},
		{"config check --tls-cert a.pem", nil, 1, []string{"tls.key"}},
		{"config check --tls-cert a.pem --tls-key b.pem --bot-folder " + bots, nil, 1, []string{"a.pem", "bot.yaml:4:", "nothing"}},
		{"config check --retention-room 5m", nil, 2, []string{"5m", "10m"}},
		{"backup --data " + t.TempDir() + " " + file, nil, 1, []string{file, "--force"}},
		{"backup --data " + filepath.Dir(file) + " /nonexist/x.backup", nil, 1, []string{"in the folder /nonexist"}},
		{"data check --data nope", nil, 1, []string{"nope/kabar.db", "--data"}},
		{"restore --data " + filepath.Join(t.TempDir(), "new") + " " + file, nil, 1, []string{"`kabar backup` wrote"}},
		{"serf", nil, 2, []string{"serf"}},
		{"publish nowhere hi", nil, 1, []string{"nowhere", "user:<id>"}},
		{"publish feed hi --admin-key k --url http://" + taken.Addr().String() + "0", nil, 1, []string{"no server answers"}},
	} {
		var out, errs bytes.Buffer
		if exit := run(t.Context(), strings.Fields(c.args), c.environ, &out, &errs); exit != c.exit {
			t.Errorf("kabar %s ended with %d, want %d: %s", c.args, exit, c.exit, errs.String())
		}
		for _, word := range c.says {
			if !strings.Contains(errs.String(), word) {
				t.Errorf("kabar %s says %q, without %q", c.args, errs.String(), word)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	var out, errs bytes.Buffer
	if exit := run(t.Context(), []string{"version"}, nil, &out, &errs); exit != 0 || !strings.HasPrefix(out.String(), "kabar ") {
		t.Errorf("%d %q %q", exit, out.String(), errs.String())
	}
}

func TestServeStopsCleanlyAndPublishReachesIt(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	for round := range 2 { // the second time on what the first one left
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan string, 1)
		go func() {
			var out, errs bytes.Buffer
			exit := run(ctx, []string{"serve", "--listen", addr, "--data", data, "--log-level", "error"}, nil, &out, &errs)
			done <- fmt.Sprint(exit, " ", errs.String())
		}()
		waitReady(t, "http://"+addr+"/readyz", done)
		var out, errs bytes.Buffer
		exit := run(t.Context(), []string{"publish", "feed", "Halo", "semua", "--listen", addr, "--data", data}, nil, &out, &errs)
		if want := fmt.Sprintf("seq %d", round+1); exit != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("publish: %d %q %q, want %s", exit, out.String(), errs.String(), want)
		}
		second := run(t.Context(), []string{"serve", "--listen", "127.0.0.1:0", "--data", data}, nil, &out, &errs)
		if second != 1 || !strings.Contains(errs.String(), "in use by another kabar") {
			t.Errorf("a second server on the same folder: %d %q", second, errs.String())
		}
		stop()
		if end := <-done; end != "0 " {
			t.Errorf("serve ended with %q", end)
		}
	}
	for _, name := range []string{"signing.key", "admin.key"} {
		if fi, err := os.Stat(filepath.Join(data, name)); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, fi, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func waitReady(t *testing.T, url string, done <-chan string) {
	t.Helper()
	for range 3000 {
		res, err := http.Get(url)
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case end := <-done:
			t.Fatalf("serve ended with %q", end)
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatal("serve never became ready")
}

func TestASecretIsMadeOnceAndADamagedOneRefused(t *testing.T) {
	folder := t.TempDir()
	a, err := secret(folder, "k")
	if err != nil || len(a) != 64 {
		t.Fatal(a, err)
	}
	if b, err := secret(folder, "k"); err != nil || a != b {
		t.Errorf("%q then %q, %v", a, b, err)
	}
	if err := os.WriteFile(filepath.Join(folder, "k"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := secret(folder, "k"); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged secret: %v", err)
	}
}
