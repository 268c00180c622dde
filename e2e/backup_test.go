package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// runKabar runs a command of kabar's to its end, and gives its status and what it wrote.
func runKabar(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	p := start(t, append(command(kabar), args...))
	code = p.wait(t)
	return code, p.out.String() + p.err.String()
}

// chatter says ten things.
func chatter(t *testing.T, from, to *person) {
	t.Helper()
	c := from.connect(t, "")
	for i := range 10 {
		c.send(t, say(to.id, fmt.Sprint("message ", i), fmt.Sprint("r", i)))
		c.expect(t, 4)
	}
}

// TestBackupOfARunningServer: a backup that is made while people publish is
// restored into another folder. What was acknowledged before is there, people
// and tokens are who they were; positions of before are refused, and those that
// the server keeps go on where they stood then: nothing is passed over.
func TestBackupOfARunningServer(t *testing.T) {
	s := serve(t, loopback)
	ann, budi := s.friends(t)
	token := s.instance(t, "shop")
	_ = s.subscribe(t, "*", token, "&consumer=billing").c.CloseNow() // begins here, and hears nothing yet
	hook := s.told(t, "shop", token)
	hook.up(t)
	listener := s.subscribe(t, "*", token, "&epoch=1")
	var kept uint64
	for range 3 {
		kept = s.emit(t, "shop", token, "messages.upsert", "before")
	}
	old := listener.event(t)
	hook.gets(t, kept)
	chatter(t, ann, budi)
	before := history(t, budi, ann)

	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					s.emitMany(t, "shop", token, 50)
				}
			}
		})
	}
	file := filepath.Join(t.TempDir(), "kabar.backup")
	code, out := runKabar(t, "backup", "--data", s.data, file)
	close(stop)
	load.Wait()
	if info, err := os.Stat(file); code != 0 || err != nil || info.Mode().Perm() != 0o600 || !strings.Contains(out, old.Epoch) {
		t.Fatalf("backup: %d %s %v", code, out, err)
	}
	must(t, 200, "GET", s.url("/readyz"), nil)
	if code, out := runKabar(t, "data", "check", "--data", s.data); code != 0 || !strings.HasPrefix(out, "OK: ") {
		t.Errorf("data check: %d %s", code, out)
	}
	if code, out := runKabar(t, "restore", file, "--data", s.data); code != 1 || !strings.Contains(out, "is not empty") {
		t.Errorf("restoring over a running server: %d %s", code, out)
	}
	s.emitMany(t, "shop", token, 10) // undone by restoring
	s.kill9(t)

	data := filepath.Join(t.TempDir(), "restored")
	if code, out = runKabar(t, "restore", file, "--data", data); code != 0 || !strings.Contains(out, "instead of "+old.Epoch) {
		t.Fatalf("restore: %d %s", code, out)
	}
	s = serveOn(t, "127.0.0.1:0", data, loopback)
	ann.s, budi.s = s, s
	if got := history(t, budi, ann); strings.Join(got, " ") != strings.Join(before, " ") {
		t.Errorf("%d messages are in the history, %d were before", len(got), len(before))
	}
	if body := refused(t, 410, s.wsURL(fmt.Sprintf("/ws/events?event=*&token=%s&after=%s:%d", token, old.Epoch, old.Seq))); !strings.Contains(body, `"reason":"epoch"`) {
		t.Errorf("a position of before is refused with %s", body)
	}
	last := s.emit(t, "shop", token, "messages.upsert", "after") // with the token of before
	consumer := s.subscribe(t, "*", token, "&consumer=billing&after=last")
	for seq := uint64(1); seq <= last; seq++ {
		e := consumer.event(t)
		if e.Seq != seq || e.Epoch == old.Epoch || seq <= kept && string(e.Data) != `"before"` {
			t.Fatalf("the consumer hears %+v, expected number %d", e, seq)
		}
	}
	eventually(t, "the webhook should get the event, whose number was another's before", func() error {
		for _, got := range hook.accepted(t) {
			if string(got.event.Data) == `"after"` {
				return nil
			}
		}
		return fmt.Errorf("it has %d", len(hook.accepted(t)))
	})
}

// TestDamagedData: a server says at its start what is damaged, and what to do.
func TestDamagedData(t *testing.T) {
	s := serve(t)
	s.person(t, "ann")
	s.stop(t)
	db := filepath.Join(s.data, "kabar.db")
	b, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[4096:], strings.Repeat("spoiled ", len(b)/8-600)) // all but the schema
	if err := os.WriteFile(db, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"data", "check"}, {"backup", filepath.Join(t.TempDir(), "b")}, {"serve", "--listen", "127.0.0.1:0"}} {
		if code, out := runKabar(t, append(args, "--data", s.data)...); code != 1 || !strings.Contains(out, "damaged") || !strings.Contains(out, "kabar restore") {
			t.Errorf("%v: %d %s", args, code, out)
		}
	}
}

// TestAnEventThatWasOverwritten: bytes in the middle of an event, which are no
// damage to SQLite, are found by the check and by a backup, and a subscriber who
// comes back over them is sent away, and gets neither them nor what follows.
func TestAnEventThatWasOverwritten(t *testing.T) {
	s := serve(t)
	token := s.instance(t, "shop")
	listener := s.subscribe(t, "*", token, "&epoch=1")
	s.emit(t, "shop", token, "messages.upsert", "the first of them")
	first := listener.event(t)
	for _, text := range []string{"the second of them", "the third of them"} {
		s.emit(t, "shop", token, "messages.upsert", text)
	}
	s.stop(t)
	db := filepath.Join(s.data, "kabar.db")
	b, err := os.ReadFile(db)
	if err == nil {
		err = os.WriteFile(db, []byte(strings.Replace(string(b), "the second of them", `the"]}ond of them`+" ", 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "b")
	for _, args := range [][]string{{"data", "check"}, {"backup", file}} {
		if code, out := runKabar(t, append(args, "--data", s.data)...); code != 1 || !strings.Contains(out, "does not hold what was written") || !strings.Contains(out, "kabar restore") {
			t.Errorf("%v: %d %s", args, code, out)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("there is a backup")
	}
	s = s.again(t)
	c := s.subscribe(t, "*", token, fmt.Sprintf("&after=%s:%d", first.Epoch, first.Seq))
	if why := c.closes(t, 1011); !strings.Contains(why, fmt.Sprintf("number %d is damaged", first.Seq+1)) {
		t.Errorf("who comes back hears %q", why)
	}
	if r := must(t, 503, "GET", s.url("/readyz"), nil); !strings.Contains(r.text, "damaged") {
		t.Errorf("readyz says %s", r.text)
	}
	if s.emit(t, "shop", token, "messages.upsert", "more") != first.Seq+3 {
		t.Error("it does not go on")
	}
}
