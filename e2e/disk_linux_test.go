package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDiskFull fills a disk of two megabytes with messages. What was
// acknowledged stays; what was not is refused, in words; the server lives, says
// that it is not well, and is well again once there is room.
func TestDiskFull(t *testing.T) {
	disk := smallDisk(t)
	s := serveOn(t, "127.0.0.1:0", filepath.Join(disk, "data"))
	ann, budi := s.friends(t)
	a := ann.connect(t, "")
	text := strings.Repeat("full ", 150)

	var acked []string
	full := false
	for i := 0; !full; i++ {
		if i > 20_000 {
			t.Fatal("two megabytes are never full")
		}
		a.send(t, say(budi.id, text, fmt.Sprintf("r%d", i)))
		switch f := a.frame(t); f.Type {
		case 4:
			acked = append(acked, f.Data["id"].(string))
		case -1:
			full = true
			t.Logf("after %d messages: %v", len(acked), f.Data)
			if message, _ := f.Data["message"].(string); !strings.HasPrefix(message, "error : ") || f.Data["ref"] != fmt.Sprintf("r%d", i) {
				t.Errorf("the refusal is %v", f.Data)
			}
		default:
			t.Fatalf("%v", f)
		}
	}
	if r := must(t, 503, "GET", s.url("/readyz"), nil); !strings.Contains(r.text, "full") {
		t.Errorf("readyz does not say that the disk is full: %s", r.text)
	}
	must(t, 200, "GET", s.url("/healthz"), nil)
	once := s.everybodyIsRefused(t, a, budi)
	// Reading goes on, and nothing acknowledged is missing.
	if got := history(t, budi, ann); strings.Join(got, " ") != strings.Join(acked, " ") {
		t.Errorf("%d messages are in the history, %d were acknowledged", len(got), len(acked))
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatal(err)
	}
	a.send(t, say(budi.id, "room again", "after"))
	f := a.expect(t, 4)
	acked = append(acked, f.Data["id"].(string))
	eventually(t, "the server is ready again", func() error { // its canary, too
		if r := call(t, "GET", s.url("/readyz"), nil); r.code != 200 {
			return fmt.Errorf("%d %s", r.code, r.text)
		}
		return nil
	})
	once(202)
	if n := strings.Count(s.err.String(), "can be stored again"); n != 1 {
		t.Errorf("the log says %d times that it is over:\n%s", n, clip(s.err.String()))
	}
	s.kill9(t)
	// A start on a full disk works, or says why not; it loses nothing.
	filler := filepath.Join(disk, "filler")
	if err := os.WriteFile(filler, make([]byte, 32<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	startsOrSaysWhyNot(t, s.data)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	s = s.again(t)
	ann.s, budi.s = s, s
	if got := history(t, budi, ann); strings.Join(got, " ") != strings.Join(acked, " ") {
		t.Errorf("after a restart %d messages are in the history, %d were acknowledged", len(got), len(acked))
	}
}

// everybodyIsRefused says things through every way in while nothing can be
// stored. Each is refused in its words, and the log has one line of all that.
// once publishes under one key.
func (s *server) everybodyIsRefused(t *testing.T, a *socket, to *person) (once func(code int) answer) {
	t.Helper()
	once = func(code int) answer {
		t.Helper()
		return must(t, code, "POST", s.url("/v1/publish"), `{"topic":"feed","text":"once"}`, "apikey", s.adminKey(t), "Idempotency-Key", "once")
	}
	if r := once(503); r.at("code") != "DISK_FULL" || !strings.Contains(r.text, "the disk is full") {
		t.Errorf("publishing is refused with %s", r.text)
	}
	for path, body := range map[string]any{
		"/api/register":    map[string]string{"email": "citra@example.com", "username": "citra", "password": password},
		"/instance/create": map[string]any{"instanceName": "shop"},
	} {
		if r := must(t, 503, "POST", s.url(path), body, "apikey", s.adminKey(t)); !strings.Contains(r.text, "the disk is full") {
			t.Errorf("%s is refused with %s", path, r.text)
		}
	}
	feed := dial(t, s.wsURL("/websocket?format=json&name=Budi"), "Authorization", "Bearer "+to.token)
	feed.send(t, "a line")
	if line := feed.next(t); !strings.Contains(line, "DISK_FULL") {
		t.Errorf("the feed answers %s", line)
	}
	for i := range 200 {
		a.send(t, say(to.id, "more", fmt.Sprintf("m%d", i)))
		a.expect(t, -1)
	}
	log := s.err.String()
	if n := strings.Count(log, "level=ERROR"); n != 1 || !strings.Contains(log, "nothing can be stored") {
		t.Errorf("the log has %d errors:\n%s", n, clip(log))
	}
	return once
}

// smallDisk mounts a disk of two megabytes.
func smallDisk(t *testing.T) string {
	t.Helper()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatalf("this test needs a disk that it can fill, and mounting one (tmpfs) failed: %v. Run it as root, or in a container that may mount.", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return disk
}

// startsOrSaysWhyNot starts a server on a full disk: it is ready, or it ends and
// says that the disk is full.
func startsOrSaysWhyNot(t *testing.T, data string) {
	t.Helper()
	p := start(t, command(kabar, "serve", "--listen", "127.0.0.1:0", "--data", data))
	eventually(t, "a server on a full disk should end or be ready", func() error {
		if p.hasEnded() || strings.Contains(p.err.String(), "kabar is ready") {
			return nil
		}
		return errors.New("it is neither")
	})
	p.signal(syscall.SIGKILL)
	if p.wait(t) == 1 && !strings.Contains(p.err.String(), "full") && !strings.Contains(p.err.String(), "space") {
		t.Errorf("on a full disk it says: %s", p.err.String())
	}
	t.Logf("on a full disk: %s", p.err.String())
}
