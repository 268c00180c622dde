package faultdisk

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"
)

// open makes a database on a disk that can fail.
func open(t *testing.T) (*Disk, *sql.DB, string) {
	t.Helper()
	folder := t.TempDir()
	d := Under(folder)
	path := filepath.Join(folder, "a.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { d.Heal(); _ = db.Close() })
	must(t, db, "CREATE TABLE a (n INTEGER PRIMARY KEY, t TEXT)")
	must(t, db, "INSERT INTO a VALUES (1, 'first')")
	return d, db, path
}

func must(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func count(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM a").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWhatFails(t *testing.T) {
	for _, c := range []struct{ fault, says string }{
		{"write full", "full (13)"},
		{"write io", "disk I/O error (778)"},
		{"write full short after=1", "full (13)"},
		{"sync io", "disk I/O error (1034)"},
		{"sync io lose", "disk I/O error (1034)"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			d, db, _ := open(t)
			f, err := Parse(c.fault)
			if err != nil {
				t.Fatal(err)
			}
			d.Fail(f)
			if _, err := db.ExecContext(t.Context(), "INSERT INTO a VALUES (2, 'second')"); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the write says %v, and should say %q", err, c.says)
			}
			if d.Struck() == 0 {
				t.Error("nothing was struck")
			}
			d.Heal()
			if n := count(t, db); n != 1 {
				t.Errorf("%d rows; what failed is there", n)
			}
			must(t, db, "INSERT INTO a VALUES (2, 'second')")
		})
	}
}

// TestLost: after a sync that loses what it had to sync, the log's file is what
// it was at the last good one, or the fault would be harmless.
func TestLost(t *testing.T) {
	size := func(path string) int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	for _, lose := range []bool{true, false} {
		d, db, path := open(t)
		before := size(path)
		d.Fail(Fault{Ops: Sync, Lose: lose})
		if _, err := db.ExecContext(t.Context(), "INSERT INTO a VALUES (2, 'second')"); err == nil {
			t.Fatal("the sync failed, and the commit did not")
		}
		if same := size(path) == before; same != lose {
			t.Errorf("lose %v: the log had %d bytes and has %d", lose, before, size(path))
		}
	}
}

func TestTimes(t *testing.T) {
	d, db, _ := open(t)
	d.Fail(Fault{Ops: Sync, File: "-wal", After: 1, Times: 1})
	must(t, db, "INSERT INTO a VALUES (2, 'second')")
	if _, err := db.ExecContext(t.Context(), "INSERT INTO a VALUES (3, 'third')"); err == nil {
		t.Error("the second sync should have failed")
	}
	must(t, db, "INSERT INTO a VALUES (3, 'third')")
	if n := d.Struck(); n != 1 {
		t.Errorf("%d calls failed, and one should have", n)
	}
}

func TestReadsFail(t *testing.T) {
	for _, c := range []struct {
		fault Fault
		says  string
	}{
		{Fault{Ops: Read}, "disk I/O error"},
		{Fault{Ops: Read, Error: Garble}, "(26)"},
		{Fault{Ops: Open}, "unable to open"},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			d, db, path := open(t)
			must(t, db, "PRAGMA wal_checkpoint(TRUNCATE)")
			d.Fail(c.fault)
			other, err := sql.Open("sqlite", "file:"+path)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			var n int
			if err := other.QueryRowContext(t.Context(), "SELECT count(*) FROM a").Scan(&n); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("reading says %v, and should say %q", err, c.says)
			}
		})
	}
}

func TestDamage(t *testing.T) {
	_, db, path := open(t)
	must(t, db, "PRAGMA wal_checkpoint(TRUNCATE)")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Damage(path, 2); err != nil { // the table's
		t.Fatal(err)
	}
	again, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	var n int
	if err := again.QueryRowContext(t.Context(), "SELECT count(*) FROM a").Scan(&n); err == nil || !strings.Contains(err.Error(), "malformed") {
		t.Errorf("reading says %v", err)
	}
}

func TestWords(t *testing.T) {
	for _, s := range []string{"write,sync full file=-wal after=3 times=1 short lose", "read garble", "open io"} {
		f, err := Parse(s)
		if err != nil || f.String() != s {
			t.Errorf("%q was read as %q, %v", s, f, err)
		}
	}
	for _, s := range []string{"", "write", "fly io", "write fire", "write io after=x", "write io now"} {
		if f, err := Parse(s); err == nil {
			t.Errorf("%q was read as %q", s, f)
		}
	}
}
