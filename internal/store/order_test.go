package store_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/lifecycle"
	"github.com/kabar-io/kabar/internal/store"
)

// A folder that has a higher migration already gets one that was made late.
func TestAMigrationThatComesLate(t *testing.T) {
	folder := t.TempDir()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(folder, "kabar.db"))
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(os.DirFS("migrations"), "*.sql")
	old := fstest.MapFS{}
	for _, name := range names {
		b, rerr := os.ReadFile(filepath.Join("migrations", name))
		err = errors.Join(err, rerr)
		if name != "0016_sessions.sql" {
			old[name] = &fstest.MapFile{Data: b}
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, old)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Up(t.Context())
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	inBatches(t, folder, func(st *store.Store, tx *journal.Tx) error {
		return st.Lifecycle().In(tx).AddSessions(bg, 1, []lifecycle.Kept{{ID: 1}})
	})
}
