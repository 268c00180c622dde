package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestAStartBesideABackup: who reads at that moment keeps the write-ahead log
// from being emptied, so all of it is written and synced anew; what the reader
// has, and what is stored, stays what it was.
func TestAStartBesideABackup(t *testing.T) {
	folder := t.TempDir()
	r := onDisk(t, folder)
	for _, text := range []string{"1", "2"} {
		if err := r.say(t, text); err != nil {
			t.Fatal(err)
		}
	}
	killed := copyOf(t, folder)
	log := filepath.Join(killed, "kabar.db-wal")
	before, err := os.ReadFile(log)
	if err != nil || len(before) == 0 {
		t.Fatal("nothing is in the log", err)
	}

	db, err := sql.Open("sqlite", filepath.Join(killed, "kabar.db"))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	reader, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(reader.Rollback(), db.Close()) }()
	count := func() (n int) {
		if err := reader.QueryRowContext(context.Background(), "SELECT count(*) FROM journal").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(); n != 2 {
		t.Fatalf("the reader has %d rows", n)
	}
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(log, long, long); err != nil {
		t.Fatal(err)
	}
	again := onDisk(t, killed)
	if info, err := os.Stat(log); err != nil || info.ModTime().Before(long.Add(time.Minute)) {
		t.Errorf("the log was not written anew: %v, %v", info, err)
	}
	if after, err := os.ReadFile(log); err != nil || !slices.Equal(after[:min(len(after), len(before))], before) {
		t.Errorf("the log holds something else: %d bytes, and %d before, %v", len(after), len(before), err)
	}
	if err := again.say(t, "3"); err != nil {
		t.Error(err)
	}
	if n := count(); n != 2 {
		t.Errorf("the reader has %d rows now", n)
	}
	if got := again.said(t); len(got) != 3 {
		t.Errorf("there are %q", got)
	}
}
