package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/store"
	"github.com/kabar-io/kabar/internal/store/faultdisk"
	"github.com/kabar-io/kabar/internal/store/storetest"
)

// logged is a log that can be looked at.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// count is how many lines have the words.
func (l *logged) count(words string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), words)
}

// rig is a store and a journal on a disk that can fail.
type rig struct {
	*journal.Journal
	st    *store.Store
	disk  *faultdisk.Disk
	log   logged
	heard []string // what the sink got; read after stop
	stop  func()
}

func onDisk(t *testing.T, folder string) *rig {
	t.Helper()
	r := &rig{disk: faultdisk.Under(folder)}
	var err error
	if r.st, err = storetest.Open(t, folder); err != nil {
		t.Fatal(err)
	}
	r.Journal, err = journal.Open(t.Context(), journal.Options{Store: r.st, Log: slog.New(slog.NewTextHandler(&r.log, nil))})
	if err != nil {
		t.Fatal(errors.Join(err, r.st.Close()))
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- r.Run(ctx, func(ms []*journal.Message) {
			for _, m := range ms {
				r.heard = append(r.heard, string(m.Data))
			}
		})
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the journal ended with %v", err)
		}
		r.disk.Heal()
		_ = r.st.Close()
	})
	t.Cleanup(r.stop)
	return r
}

// say says something under a ref, and returns the refusal.
func (r *rig) say(t *testing.T, text string) error {
	t.Helper()
	_, err := r.DoOnce(journal.Key{Scope: "s", Ref: text}, journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
		return []*journal.Message{{Entries: journal.To("a"), Kind: "said", Data: []byte(text)}}, nil
	})).Wait(t.Context())
	return err
}

// said is everything in the topic.
func (r *rig) said(t *testing.T) (texts []string) {
	t.Helper()
	for {
		ms, err := r.Read(t.Context(), "a", uint64(len(texts)), 1000)
		if err != nil {
			t.Fatalf("reading: %v", err)
		}
		for _, m := range ms {
			texts = append(texts, string(m.Data))
		}
		if len(ms) < 1000 {
			return texts
		}
	}
}

var troubles = []struct {
	fault  string
	reason string
}{
	{"write full", "DISK_FULL"},
	{"write full short after=1", "DISK_FULL"},
	{"write io", "DISK_FAILS"},
	{"write,truncate,sync io", "DISK_FAILS"},
	{"sync io", "DISK_FAILS"},
	{"sync io lose", "DISK_FAILS"},
	{"read,write,open io", "DISK_FAILS"},
}

// TestTrouble: while the disk fails nothing is acknowledged and everything can
// be read; when it works again the next change is stored, without a restart and
// under the same ref; the log says so once, and nothing acknowledged is lost, as
// a copy taken in the middle shows, which is what a kill would leave.
func TestTrouble(t *testing.T) {
	for _, c := range troubles {
		t.Run(c.fault, func(t *testing.T) {
			folder := t.TempDir()
			r := onDisk(t, folder)
			f, err := faultdisk.Parse(c.fault)
			if err != nil {
				t.Fatal(err)
			}
			var acked []string
			for i := range 20 {
				text := fmt.Sprint("before ", i)
				if err := r.say(t, text); err != nil {
					t.Fatal(err)
				}
				acked = append(acked, text)
			}
			if f.Ops&faultdisk.Read == 0 {
				r.disk.Fail(f)
			} else { // what was read already is in memory
				r.said(t)
				r.disk.Fail(f, faultdisk.Fault{Ops: faultdisk.Sync})
			}
			for i := range 10 {
				err := r.say(t, fmt.Sprint("during ", i))
				if e := status.Of(err); err == nil || e.Code != status.Unavailable || e.Reason != c.reason || !strings.Contains(e.Message, "the disk ") {
					t.Fatalf("a change gave %v (%s)", err, status.Of(err).Reason)
				}
			}
			if since, why := r.Failing(); why == nil || time.Since(since) > time.Hour {
				t.Errorf("it fails since %v, because of %v", since, why)
			}
			if f.Ops&faultdisk.Read == 0 {
				if got := r.said(t); !slices.Equal(got, acked) {
					t.Errorf("while it fails %d messages can be read, %d were acknowledged", len(got), len(acked))
				}
			}
			killed := copyOf(t, folder)
			r.disk.Heal()
			for i := range 3 {
				text := fmt.Sprint("during ", i) // said again under the same ref
				if err := r.say(t, text); err != nil {
					t.Fatalf("the disk works, and the next change gives %v", err)
				}
				acked = append(acked, text)
			}
			if n, m := r.log.count("nothing can be stored"), r.log.count("can be stored again"); n != 1 || m != 1 {
				t.Errorf("the log says %d times that it began, %d times that it ended: %s", n, m, r.log.b.String())
			}
			r.stop()
			if !slices.Equal(r.heard, acked) {
				t.Errorf("%q were delivered", r.heard)
			}
			if got := onDisk(t, folder).said(t); !slices.Equal(got, acked) {
				t.Errorf("after a restart there are %q", got)
			}
			// A change that was refused for a sync may be there after a kill: it
			// was written. What was acknowledged has to be.
			if got := onDisk(t, killed).said(t); len(got) < 20 || !slices.Equal(got[:20], acked[:20]) {
				t.Errorf("after a kill there are %q", got)
			}
		})
	}
}

// copyOf is the folder as a kill at this moment would leave it.
func copyOf(t *testing.T, folder string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"kabar.db", "kabar.db-wal"} {
		b, err := os.ReadFile(filepath.Join(folder, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// eventually waits for something that another goroutine does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > 30*time.Second {
			t.Fatal(what)
		}
	}
}

// TestItRecoversByItself: nobody has to say anything for the server to find out
// that the disk works again.
func TestItRecoversByItself(t *testing.T) {
	r := onDisk(t, t.TempDir())
	for range 2 { // the second time what is tried was tried before, and is still written
		r.disk.Fail(faultdisk.Fault{Ops: faultdisk.Write, Error: faultdisk.Full})
		if err := r.say(t, "x"); err == nil {
			t.Fatal("nothing failed")
		}
		struck := r.disk.Struck()
		eventually(t, "it is not tried again", func() bool { return r.disk.Struck() > struck })
		if r.Health() == nil {
			t.Fatal("it failed again, and is well")
		}
		r.disk.Heal()
		eventually(t, "it does not get well", func() bool { return r.Health() == nil })
	}
	if n := r.log.count("can be stored again"); n < 1 || n > 2 {
		t.Errorf("the log says so %d times", n)
	}
}

// TestNothingToWrite: a change that writes nothing is no sign that the disk
// takes something again.
func TestNothingToWrite(t *testing.T) {
	r := onDisk(t, t.TempDir())
	r.disk.Fail(faultdisk.Fault{Ops: faultdisk.Write, Error: faultdisk.Full})
	if err := r.say(t, "x"); err == nil {
		t.Fatal("nothing failed")
	}
	nothing := journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) { return nil, nil })
	if _, err := r.Do(nothing).Wait(t.Context()); err == nil || r.Health() == nil {
		t.Errorf("it says that it is well (%v, %v)", err, r.Health())
	}
}

// TestADiskThatFailsNowAndThen does not fill the log.
func TestADiskThatFailsNowAndThen(t *testing.T) {
	r := onDisk(t, t.TempDir())
	for i := range 50 {
		r.disk.Fail(faultdisk.Fault{Ops: faultdisk.Sync, Times: 1})
		if err := r.say(t, strconv.Itoa(i)); err == nil {
			t.Fatal("nothing failed")
		}
		if err := r.say(t, strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.log.count("stored"); n > 2*(1+int(time.Minute/(10*time.Second))) {
		t.Errorf("the log has %d lines of it", n)
	}
}

// TestTheCheckpointFails: what is committed stands in the write-ahead log, so
// a database that cannot be written holds up nobody.
func TestTheCheckpointFails(t *testing.T) {
	for _, fault := range []string{"write,sync full file=.db", "sync io lose file=.db"} {
		t.Run(fault, func(t *testing.T) {
			folder := t.TempDir()
			r := onDisk(t, folder)
			f, err := faultdisk.Parse(fault)
			if err != nil {
				t.Fatal(err)
			}
			r.disk.Fail(f)
			var acked []string
			long := strings.Repeat("x", 60<<10)
			for i := 0; r.disk.Struck() < 3; i++ { // fifteen pages each; a checkpoint begins at 4,000
				if i > 2000 {
					t.Fatal("there is no checkpoint")
				}
				text := fmt.Sprint(i, " ", long)
				if err := r.say(t, text); err != nil {
					t.Fatal(err)
				}
				acked = append(acked, text)
			}
			killed := copyOf(t, folder)
			r.disk.Heal()
			if err := r.say(t, "after"); err != nil {
				t.Fatal(err)
			}
			r.stop()
			for name, folder := range map[string]string{"a restart": folder, "a kill": killed} {
				if got := onDisk(t, folder).said(t); len(got) < len(acked) || !slices.Equal(got[:len(acked)], acked) {
					t.Errorf("after %s %d of %d messages are there", name, len(got), len(acked))
				}
			}
		})
	}
}

// TestAnotherFile: a backup that is put in the place of the database of a
// running server is not written to.
func TestAnotherFile(t *testing.T) {
	folder := t.TempDir()
	r := onDisk(t, folder)
	if err := r.say(t, "1"); err != nil {
		t.Fatal(err)
	}
	other := copyOf(t, folder)
	if err := os.Rename(filepath.Join(other, "kabar.db"), filepath.Join(folder, "kabar.db")); err != nil {
		t.Fatal(err)
	}
	r.disk.Fail(faultdisk.Fault{Ops: faultdisk.Write, Times: 1})
	for range 3 {
		if err := r.say(t, "2"); err == nil {
			t.Fatal("it was stored in a file that is not the server's")
		}
	}
	if _, why := r.Failing(); !strings.Contains(fmt.Sprint(why), "restart the server") {
		t.Errorf("it says %v", why)
	}
}

// TestDamage: a damaged page hurts who reads what is on it, and nobody else.
func TestDamage(t *testing.T) {
	folder := t.TempDir()
	r := onDisk(t, folder)
	for i := range 200 {
		if err := r.say(t, fmt.Sprint(i, strings.Repeat("x", 3000))); err != nil {
			t.Fatal(err)
		}
	}
	r.stop()
	file := filepath.Join(folder, "kabar.db")
	pages, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := len(pages) / 4096 / 3 // of there the first that is a leaf of the tree of messages, whatever the schema is
	for pages[at*4096] != 0x0d || !bytes.Contains(pages[at*4096:(at+1)*4096], []byte("xxx")) {
		at++
	}
	if err := faultdisk.Damage(file, at+1); err != nil {
		t.Fatal(err)
	}
	r = onDisk(t, folder)
	if _, what := r.st.Damage(); what != nil {
		t.Errorf("before it was met: %v", what)
	}
	bad := 0
	for i := range uint64(200) {
		ms, err := r.Read(t.Context(), "a", i, 1)
		switch {
		case err == nil && strings.HasPrefix(string(ms[0].Data), fmt.Sprint(i, "x")):
		case err != nil && status.Of(err).Reason == "DATA_DAMAGED":
			bad++
		default:
			t.Errorf("message %d: %v", i+1, err)
		}
	}
	if bad == 0 || bad > 5 {
		t.Errorf("%d of 200 messages cannot be read", bad)
	}
	if since, what := r.st.Damage(); what == nil || since.IsZero() {
		t.Error("nobody is told")
	}
	if err := r.say(t, "more"); err != nil || r.Health() != nil {
		t.Errorf("saying more gives %v, %v", err, r.Health())
	}
}

// TestDamageThatSQLiteDoesNotSee: a row that cannot be read, and one that is not
// there, are damage to everybody who comes for them, and it is known.
func TestDamageThatSQLiteDoesNotSee(t *testing.T) {
	for name, spoil := range map[string]string{
		"the row":          "UPDATE journal SET data = zeroblob(length(data)) WHERE pos = 2",
		"no row":           "DELETE FROM journal WHERE pos = 2",
		"the index":        "UPDATE journal_index SET positions = x'ff' WHERE topic = 'a'",
		"less of an index": "UPDATE journal_index SET first = 3 WHERE topic = 'a'",
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			r := onDisk(t, folder)
			for _, text := range []string{"1", "2", "3"} {
				if err := r.say(t, text); err != nil {
					t.Fatal(err)
				}
			}
			r.stop()
			db, err := sql.Open("sqlite", filepath.Join(folder, "kabar.db"))
			if err == nil {
				_, err = db.ExecContext(t.Context(), spoil)
			}
			if err = errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			r = onDisk(t, folder)
			_, read := r.Read(t.Context(), "a", 1, 1)
			_, before := r.ReadBefore(t.Context(), "a", 3, 1)
			for how, err := range map[string]error{"reading": read, "reading back": before} {
				if e := status.Of(err); err == nil || e.Reason != "DATA_DAMAGED" {
					t.Errorf("%s gives %v", how, err)
				}
			}
			if err := r.say(t, "2"); name == "the row" && status.Of(err).Reason != "DATA_DAMAGED" {
				t.Errorf("saying it again gives %v", err)
			}
			if since, what := r.st.Damage(); what == nil || since.IsZero() {
				t.Error("nobody is told")
			}
			if err := r.say(t, "4"); name == "the row" && err != nil {
				t.Errorf("saying more gives %v", err)
			}
		})
	}
}

// TestFoldersOfAnyName hold their own database.
func TestFoldersOfAnyName(t *testing.T) {
	for _, name := range []string{"a%41b", "a?b", "a#b", "a b", "100%", "é&c=d"} {
		folder := filepath.Join(t.TempDir(), name)
		st, err := store.Open(t.Context(), store.Options{Folder: folder})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
		beside, err := os.ReadDir(filepath.Dir(folder))
		info, missing := os.Stat(filepath.Join(folder, "kabar.db"))
		if err = errors.Join(err, missing); err != nil || len(beside) != 1 || info.Size() == 0 {
			t.Errorf("%s: %v are beside it, and it holds %v (%v)", name, beside, info, err)
		}
	}
}

// TestDamageAtTheStart is found, and it is said what to do.
func TestDamageAtTheStart(t *testing.T) {
	for name, spoil := range map[string]func(file string) error{
		"another file": func(file string) error {
			return os.WriteFile(file, []byte(strings.Repeat("no database ", 1000)), 0o600)
		},
		"the first page":   func(file string) error { return faultdisk.Damage(file, 1) },
		"the schema's end": func(file string) error { return os.Truncate(file, 3*4096) },
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			r := onDisk(t, folder)
			if err := r.say(t, "1"); err != nil {
				t.Fatal(err)
			}
			r.stop()
			if err := spoil(filepath.Join(folder, "kabar.db")); err != nil {
				t.Fatal(err)
			}
			st, err := store.Open(t.Context(), store.Options{Folder: folder})
			if err == nil {
				t.Fatal(st.Close(), "it was opened")
			}
			for _, words := range []string{"kabar.db is damaged", "kabar data check", "kabar restore"} {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("it says %q, and not %q", err, words)
				}
			}
		})
	}
}

// TestReadingFails: an error in reading is told to who reads, and known until
// it goes well for a while.
func TestReadingFails(t *testing.T) {
	folder := t.TempDir()
	r := onDisk(t, folder)
	for i := range 200 {
		if err := r.say(t, fmt.Sprint(i, strings.Repeat("x", 3000))); err != nil {
			t.Fatal(err)
		}
	}
	r.stop()
	r = onDisk(t, folder)
	r.disk.Fail(faultdisk.Fault{Ops: faultdisk.Read})
	_, err := r.Read(t.Context(), "a", 0, 10)
	if e := status.Of(err); err == nil || e.Code != status.Unavailable || e.Reason != "DISK_FAILS" {
		t.Errorf("reading gives %v", err)
	}
	if since, why := r.st.Reading(); why == nil || since.IsZero() {
		t.Error("nobody is told")
	}
	r.disk.Heal()
	if got := r.said(t); len(got) != 200 {
		t.Errorf("%d messages after it", len(got))
	}
}

// TestAStartStandsOnWhatIsSynced: what an earlier process wrote last, and may
// not have synced, is moved into the database before anything is added to it.
func TestAStartStandsOnWhatIsSynced(t *testing.T) {
	folder := t.TempDir()
	r := onDisk(t, folder)
	r.disk.Fail(faultdisk.Fault{Ops: faultdisk.Sync, After: 1})
	_ = r.say(t, "1")
	_ = r.say(t, "not synced")
	killed := copyOf(t, folder)
	log := filepath.Join(killed, "kabar.db-wal")
	if info, err := os.Stat(log); err != nil || info.Size() == 0 {
		t.Fatal("nothing is in the log", err)
	}
	onDisk(t, killed)
	if info, err := os.Stat(log); err == nil && info.Size() > 0 {
		t.Errorf("the log still has %d bytes, and what comes next would stand on them", info.Size())
	}
}
