package store_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/store"
)

// overwrite puts other bytes over the one place in the database's file that
// holds these.
func overwrite(t *testing.T, folder string, what, with []byte) {
	t.Helper()
	file := filepath.Join(folder, "kabar.db")
	pages, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(pages, what)
	if at < 0 || bytes.Contains(pages[at+1:], what) {
		t.Fatalf("%q stands at %d, and has to stand at one place", what, at)
	}
	copy(pages[at:], with)
	if err := os.WriteFile(file, pages, 0o600); err != nil {
		t.Fatal(err)
	}
}

// spoil changes a database behind the store's back.
func spoil(t *testing.T, folder string, queries ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(folder, "kabar.db"))
	for _, q := range queries {
		if err == nil {
			_, err = db.ExecContext(t.Context(), q)
		}
	}
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

func faultsOf(t *testing.T, folder string) []string {
	t.Helper()
	_, faults, err := store.Check(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	return faults
}

// text is the n-th of 100 messages, unlike any other in its middle.
func text(n int) string { return fmt.Sprintf(`{"text":"so it is said %04d times"}`, n) }

// hundred is a folder with 100 messages, written and stopped.
func hundred(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	r := onDisk(t, folder)
	for n := 1; n <= 100; n++ {
		if err := r.say(t, text(n)); err != nil {
			t.Fatal(err)
		}
	}
	r.stop()
	return folder
}

func damagedAs(err error) bool { return err != nil && status.Of(err).Reason == "DATA_DAMAGED" }

// TestARowThatSaysSomethingElse: bytes of a message that were overwritten in the
// file are served to nobody, wherever the message stands; the check finds them,
// what is beside them is served, and it goes on.
func TestARowThatSaysSomethingElse(t *testing.T) {
	for n, with := range map[int]string{50: `"}{"text":"x`, 51: "said 9999 ti", 100: "said 9999 ti"} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			folder := hundred(t)
			// The ref stands in the row, too, and in its own table; what is said stands last.
			overwrite(t, folder, []byte("\x01\x01a"+seqOf(n)+text(n)), append([]byte("\x01\x01a"+seqOf(n)+`{"text":"`), with...))
			if faults := faultsOf(t, folder); len(faults) != 1 || !strings.Contains(faults[0], fmt.Sprintf("row %d ", n)) {
				t.Errorf("the check finds %q", faults)
			}
			to := filepath.Join(t.TempDir(), "copy")
			if _, err := store.Copy(t.Context(), folder, to); !damagedAs(err) || !strings.Contains(err.Error(), fmt.Sprintf("row %d ", n)) {
				t.Errorf("copying it gives %v", err)
			}
			if _, _, err := store.Restored(t.Context(), to); err == nil || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("restoring the copy gives %v", err)
			}

			r := onDisk(t, folder)
			for i := range uint64(100) {
				ms, err := r.Read(t.Context(), "a", i, 1)
				if int(i)+1 == n {
					if !damagedAs(err) {
						t.Errorf("it is read: %v", err)
					}
				} else if err != nil || string(ms[0].Data) != text(int(i)+1) {
					t.Errorf("message %d: %v", i+1, err)
				}
			}
			if before := r.readable(t, 0); before != uint64(n-1) {
				t.Errorf("coming back from the beginning, one hears up to %d", before)
			}
			last, err := r.Unreadable(t.Context(), "a", uint64(n))
			if err != nil || last != uint64(n) {
				t.Errorf("it is damaged up to %d, %v", last, err)
			}
			if end := r.readable(t, last); end != 0 && end != 100 {
				t.Errorf("behind it one hears up to %d", end)
			}
			if _, err := r.ReadBefore(t.Context(), "a", 0, 1000); !damagedAs(err) {
				t.Errorf("a page of history gives %v", err)
			}
			if ms, last, err := r.Walk(t.Context(), 0, 1000); err != nil || len(ms) != 99 || last != 100 {
				t.Errorf("a walk finds %d up to %d, %v", len(ms), last, err)
			}
			if _, what := r.st.Damage(); what == nil || !strings.Contains(what.Error(), fmt.Sprintf("row %d ", n)) {
				t.Errorf("it is known that %v", what)
			}
			if err := r.say(t, text(n)); !damagedAs(err) {
				t.Errorf("saying it once more gives %v", err)
			}
			if err := r.say(t, "more"); err != nil {
				t.Error(err)
			}
		})
	}
}

// readable is up to where a topic can be read from a position on, page by page.
func (r *rig) readable(t *testing.T, after uint64) (last uint64) {
	t.Helper()
	for {
		ms, err := r.Read(t.Context(), "a", after, 1000)
		if len(ms) == 0 {
			if err != nil && !damagedAs(err) {
				t.Error(err)
			}
			return last
		}
		last = ms[len(ms)-1].Seq("a")
		after = last
	}
}

// seqOf is how a small number stands in a row.
func seqOf(n int) string { return string([]byte{byte(n)}) }

// TestAnIndexThatSaysSomethingElse: where the rows of a topic are said to be is
// covered, too.
func TestAnIndexThatSaysSomethingElse(t *testing.T) {
	folder := hundred(t)
	steps := bytes.Repeat([]byte{1}, 100)
	other := bytes.Clone(steps)
	copy(other[40:], "\x02\x01\x01\x02")
	overwrite(t, folder, steps, other)
	if faults := faultsOf(t, folder); len(faults) != 1 || !strings.Contains(faults[0], "the index of a") {
		t.Errorf("the check finds %q", faults)
	}
	if _, err := store.Copy(t.Context(), folder, filepath.Join(t.TempDir(), "copy")); !damagedAs(err) {
		t.Errorf("copying it gives %v", err)
	}
	r := onDisk(t, folder)
	if ms, err := r.Read(t.Context(), "a", 90, 10); !damagedAs(err) {
		t.Errorf("%d messages are read, %v", len(ms), err)
	}
}

// TestRowsOfBefore: what was written without checksums is read as it is, and has
// one from when it is written again. What such an index says the row says, too.
func TestRowsOfBefore(t *testing.T) {
	folder := hundred(t)
	spoil(t, folder, "UPDATE journal SET data = CAST(x'01' || substr(data, 7) AS BLOB)", "UPDATE journal_index SET positions = CAST(substr(positions, 7) AS BLOB)")
	if faults := faultsOf(t, folder); len(faults) > 0 {
		t.Fatalf("the check finds %q", faults)
	}
	r := onDisk(t, folder)
	if got := r.said(t); len(got) != 100 || got[70] != text(71) {
		t.Fatalf("%d messages are there", len(got))
	}
	ms, err := r.Read(t.Context(), "a", 49, 2)
	if err != nil {
		t.Fatal(err)
	}
	const edited = `{"text":"edited later"}`
	if _, err := r.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		m, gone := *ms[0], *ms[1]
		m.Data, gone.From, gone.Data = []byte(edited), 0, []byte(`{}`)
		return nil, errors.Join(tx.Rewrite(&m), tx.Disown(&gone))
	})).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.say(t, "new"); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if faults := faultsOf(t, folder); len(faults) > 0 {
		t.Fatalf("after an edit the check finds %q", faults)
	}
	r = onDisk(t, folder)
	if got := r.said(t); len(got) != 101 || got[49] != edited || got[50] != `{}` || got[100] != "new" {
		t.Errorf("%d messages are there: %q, %q", len(got), got[49], got[100:])
	}
	r.stop()
	overwrite(t, folder, []byte("edited later"), []byte("edited twice"))
	if faults := faultsOf(t, folder); len(faults) != 1 || !strings.Contains(faults[0], "row 50 ") {
		t.Errorf("the check finds %q", faults)
	}
	overwrite(t, folder, []byte("edited twice"), []byte("edited later"))

	spoil(t, folder, "UPDATE journal_index SET positions = x'03' || CAST(substr(positions, 2) AS BLOB) WHERE first = 1")
	r = onDisk(t, folder)
	if ms, err := r.Read(t.Context(), "a", 0, 1); !damagedAs(err) {
		t.Errorf("another topic's place gives %v, %v", ms, err)
	}
}
