package e2e

import (
	"database/sql"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // to spoil a data folder with
)

// fails starts the program, which must refuse: with an exit code, and with each
// of the words in what it says of it. It says it in few lines.
func fails(t *testing.T, code int, words []string, line []string, hows ...how) {
	t.Helper()
	out, stderr, got := output(t, append(command(kabar), line...), hows...)
	if got != code {
		t.Errorf("kabar %s: exit code %d, expected %d:\n%s%s", strings.Join(line, " "), got, code, out, stderr)
	}
	for _, word := range words {
		if !strings.Contains(stderr, word) {
			t.Errorf("kabar %s does not mention %q; it says:\n%s", strings.Join(line, " "), word, stderr)
		}
	}
	if strings.Contains(stderr, "goroutine ") || strings.Count(stderr, "\n") > 6 {
		t.Errorf("kabar %s says too much:\n%s", strings.Join(line, " "), stderr)
	}
}

func TestPortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	data := filepath.Join(t.TempDir(), "data")
	words := []string{addr, "taken", "--listen"}
	fails(t, 1, words, command("serve", "--listen", addr, "--data", data))
	fails(t, 1, words, command("serve", "--listen", "127.0.0.1:0,"+addr, "--data", data))
	fails(t, 1, words, command("demo", "--listen", addr, "--data", data))
	if _, err := os.Stat(data); err == nil {
		t.Error("a server that could not listen has made its data folder")
	}
	// The demo leaves out any but the first, and says so.
	p := start(t, command(kabar, "demo", "--listen", "127.0.0.1:0,"+addr, "--data", data))
	p.sees(t, &p.err, "left out.*"+addr)
	p.sees(t, &p.out, "is running")
}

func TestConfigurationMistakes(t *testing.T) {
	data := "--data=" + filepath.Join(t.TempDir(), "data")
	config := file(t, "kabar.yaml", "listen: [127.0.0.1:0]\nfeed:\n  publsh: anyone\ndirect:\n  text: many\n")
	fails(t, 2, []string{"kabar.yaml:3", "publsh", "feed.publish", "kabar.yaml:5", "direct.text"}, command("serve", data, "--config", config))
	fails(t, 2, []string{"--lisen", "--listen"}, command("serve", data, "--lisen", "127.0.0.1:0"))
	fails(t, 2, []string{"KABAR_FEED_PUBLSH", "KABAR_FEED_PUBLISH"}, command("serve", data), with("KABAR_FEED_PUBLSH=anyone"))
	fails(t, 2, []string{"everybody", "nobody"}, command("serve", data, "--feed-publish", "everybody"))
	fails(t, 2, []string{"--listen", "host:port"}, command("serve", data, "--listen", "8080"))
	fails(t, 2, []string{"missing.yaml", "cannot be read"}, command("serve", data, "--config", filepath.Join(t.TempDir(), "missing.yaml")))
	fails(t, 2, []string{"kabar.yaml:3", "feed.publish"}, command("config", "check", "--config", config))
	fails(t, 2, nil, command("surve"))

	good := file(t, "kabar.yaml", "listen: [127.0.0.1:0]\nfeed:\n  publish: anyone\n")
	if out, stderr, code := output(t, command(kabar, "config", "check", "--config", good)); code != 0 || !strings.HasPrefix(out, "OK") {
		t.Errorf("a good file: %d %s%s", code, out, stderr)
	}
	// What `config default` prints is a good file.
	preset, _, _ := output(t, command(kabar, "config", "default"))
	if out, stderr, code := output(t, command(kabar, "config", "check", "--config", file(t, "default.yaml", preset))); code != 0 {
		t.Errorf("the default file: %d %s%s", code, out, stderr)
	}
}

func TestDataFolderOfANewerVersion(t *testing.T) {
	s := serve(t)
	ann, budi := s.friends(t)
	s.stop(t)
	set := func(statement string) {
		t.Helper()
		db, err := sql.Open("sqlite", filepath.Join(s.data, "kabar.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	set(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
	fails(t, 1, []string{s.data, "newer", "9999"}, command("serve", "--listen", "127.0.0.1:0", "--data", s.data))
	set(`DELETE FROM goose_db_version WHERE version_id = 9999`)
	// The refusal has touched nothing.
	s = s.again(t)
	ann.s, budi.s = s, s
	b := budi.connect(t, "")
	ann.connect(t, "").send(t, say(budi.id, "back again", ""))
	b.expect(t, 1)
}

func TestDataFolderThatCannotBeUsed(t *testing.T) {
	serveFrom := func(data string) []string { return command("serve", "--listen", "127.0.0.1:0", "--data", data) }

	s := serve(t)
	fails(t, 1, []string{s.data, "in use", "--data"}, serveFrom(s.data))

	notAFolder := file(t, "data", "something else")
	fails(t, 1, []string{notAFolder}, serveFrom(notAFolder))

	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "kabar.db"), []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, 1, []string{damaged, "not a database"}, serveFrom(damaged))

	short := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(short, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(short, "signing.key"), []byte("abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, 1, []string{"signing.key", "damaged"}, serveFrom(short))

	// The superuser may read everything, so somebody else has to try.
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0); err != nil {
		t.Fatal(err)
	}
	var hows []how
	if os.Getuid() == 0 {
		const nobody = 65534
		folder, err := os.MkdirTemp("", "kabar-e2e-closed-") //nolint:usetesting // t.TempDir's own parents are closed to others
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(folder) })
		closed, hows = folder, append(hows, asUser(nobody), in("/"))
	}
	fails(t, 1, []string{closed, "permission denied"}, serveFrom(closed), hows...)
	fails(t, 1, []string{closed, "permission denied"}, serveFrom(filepath.Join(closed, "inside")), hows...)
}

func TestSecretsAreTheOwnersAlone(t *testing.T) {
	s := serve(t)
	for _, name := range []string{"signing.key", "admin.key"} {
		info, err := os.Stat(filepath.Join(s.data, name))
		if err != nil {
			t.Error(err)
		} else if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %v", name, mode)
		}
	}
	if info, err := os.Stat(s.data); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data folder: %v %v", info.Mode(), err)
	}
	// None of them, nor a token or a code, is in the log.
	ann := s.person(t, "ann")
	code := ann.code(t)
	dial(t, s.wsURL("/ws/connect?auth="+code)).send(t, "{")
	refused(t, 401, s.wsURL("/ws/connect?auth="+code))
	for _, secret := range []string{ann.token, code, s.adminKey(t), password} {
		if strings.Contains(s.err.String(), secret) {
			t.Errorf("the log holds %s", secret)
		}
	}
}

func TestKeysAreKept(t *testing.T) {
	s := serve(t)
	ann := s.person(t, "ann")
	key := s.adminKey(t)
	s.stop(t)
	s = s.again(t)
	ann.s = s
	ann.ok(t, "GET", "/api/user", nil)
	if s.adminKey(t) != key {
		t.Error("the administrator's key is another one after a restart")
	}
	publish := func(wanted int, key string) {
		must(t, wanted, "POST", s.url("/v1/publish"), map[string]any{"user": ann.id, "message": "hi"}, "apikey", key)
	}
	publish(202, key)
	publish(401, key+"x")
	out, stderr, code := output(t, command(kabar, "publish", "--url", s.url(""), "--data", s.data, fmt.Sprintf("user:%d", ann.id), "from", "the", "shell"))
	if code != 0 || !strings.Contains(out, " seq ") {
		t.Errorf("kabar publish: %d %s%s", code, out, stderr)
	}
}
