package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options says where and how to keep the data.
type Options struct {
	Folder string // made with mode 0700 where it does not exist

	// Synchronous is SQLite's setting of that name. "" is FULL: what was
	// committed survives a power cut. Anything less loses acknowledged
	// messages, and exists so that a test can see it happen.
	Synchronous string
}

// Store is one open data folder.
type Store struct {
	queries        // reading, by the readers
	path    string // static
	lock    *os.File
	write   *sql.DB // one connection
	read    *sql.DB
	batch   queries  // writing, by the one connection; owned by the open Tx
	aside   queries  // reading, by a connection for the writer alone; see Tx.lookUps
	senders *senders // the same
	disk    *medium  // what is known of the disk below
}

// readers is how many snapshots can be read at once; more wait.
const readers = 4

// writerCache is how much of the file the writer keeps in memory, in KiB below
// zero: the upper pages of its tables, and of the index what it adds to.
const writerCache = "-32768"

// Open opens or makes the data folder.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Synchronous == "" {
		o.Synchronous = "FULL"
	}
	if err := os.MkdirAll(o.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	lock, err := Lock(o.Folder)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(o.Folder, Unfinished)); err == nil {
		return nil, errors.Join(fmt.Errorf("restoring a backup into %s did not come to its end: empty the folder, and restore it again", o.Folder), lock.Close())
	}
	s := &Store{path: filepath.Join(o.Folder, database), lock: lock, disk: &medium{folder: o.Folder}}
	if err := s.open(ctx, o); err != nil {
		return nil, errors.Join(explain(o.Folder, err), s.Close())
	}
	return s, nil
}

// Lock takes a data folder for this process, until the file is closed.
func Lock(folder string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // in the operator's own folder
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("data folder %s is in use by another kabar: stop that one, or choose another folder with --data", folder)
	}
	return f, nil
}

func (s *Store) open(ctx context.Context, o Options) error {
	// SQLite gives its other files the mode of this one: what people wrote is
	// nobody else's to read, whatever the folder allows.
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if s.disk.file, err = f.Stat(); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if s.write, err = s.connect(1, pragma{"synchronous", o.Synchronous}, pragma{"secure_delete", "1"}, pragma{"wal_autocheckpoint", "4000"}, pragma{"cache_size", writerCache}); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if s.read, err = s.connect(readers, pragma{"query_only", "1"}); err != nil {
		return err
	}
	aside, err := s.connect(1, pragma{"query_only", "1"}) // it connects when it is used
	if err != nil {
		return err
	}
	s.aside = queries{db: aside, stmts: &stmts{}, disk: s.disk}
	s.queries = queries{db: s.read, stmts: &stmts{}, disk: s.disk}
	s.batch = queries{db: s.write, stmts: &stmts{}, disk: s.disk}
	s.senders = newSenders()
	return s.firstTime(ctx)
}

func (s *Store) connect(conns int, more ...pragma) (*sql.DB, error) {
	settings := append([]pragma{{"journal_mode", "WAL"}, {"busy_timeout", "10000"}, {"foreign_keys", "0"}}, more...)
	db, err := openDatabase(s.path, settings...)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// migrate brings the schema up to this version's, and refuses a newer one.
func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.write, files, goose.WithSlog(slog.New(slog.DiscardHandler)),
		goose.WithAllowOutofOrder(true)) // numbers are given before the work is done: a lower one may come later
	if err != nil {
		return err
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("%s cannot be read: %w", s.path, err)
	}
	sources := p.ListSources()
	if newest := sources[len(sources)-1].Version; have > newest {
		return fmt.Errorf("%s was written by a newer kabar (schema %d, this one knows %d): run that version, or restore a backup of this one", s.path, have, newest)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("%s: bringing the schema up to date: %w", s.path, err)
	}
	return nil
}

// newestSchema is the number of the last migration that this version knows.
func newestSchema() (int64, error) {
	files, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		return 0, err
	}
	number, _, _ := strings.Cut(files[len(files)-1].Name(), "_")
	return strconv.ParseInt(number, 10, 64)
}

// Statements is how many statements were run so far, by the writer and by the
// readers.
func (s *Store) Statements() (written, read uint64) {
	return s.batch.stmts.ran.Load(), s.queries.stmts.ran.Load()
}

// Close ends the store. A batch that is open is lost.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.aside.db, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// stmts are the prepared statements of one database handle, each prepared when
// it is first used.
type stmts struct {
	m   sync.Map // query string → *sql.Stmt
	ran atomic.Uint64
}

// queries runs statements on the readers or, inside a batch, on the writer.
type queries struct {
	db    *sql.DB
	stmts *stmts
	disk  *medium
	tx    *Tx // the batch whose savepoint a write opens, nil outside of one
}

func (q queries) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	q.stmts.ran.Add(1)
	if st, ok := q.stmts.m.Load(query); ok {
		return st.(*sql.Stmt), nil
	}
	st, err := q.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, q.note(err)
	}
	if first, taken := q.stmts.m.LoadOrStore(query, st); taken {
		return first.(*sql.Stmt), st.Close() //nolint:sqlclosecheck // only the one that came too late; the others live as long as their database
	}
	return st, nil
}

// row reads one row into dest. found is false where there is none.
func (q queries) row(ctx context.Context, query string, args []any, dest ...any) (found bool, err error) {
	st, err := q.prepare(ctx, query) //nolint:sqlclosecheck // it is kept
	if err != nil {
		return false, err
	}
	err = st.QueryRowContext(ctx, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, q.note(err)
}

// rows calls scan for each row.
func (q queries) rows(ctx context.Context, query string, args []any, scan func(scan func(dest ...any) error) error) error {
	st, err := q.prepare(ctx, query) //nolint:sqlclosecheck // it is kept
	if err != nil {
		return err
	}
	rs, err := st.QueryContext(ctx, args...)
	if err != nil {
		return q.note(err)
	}
	defer rs.Close()
	for rs.Next() {
		if err := scan(rs.Scan); err != nil {
			return err
		}
	}
	return q.note(rs.Err())
}

// exec writes, inside a batch only, and returns how many rows it touched.
func (q queries) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if q.tx == nil {
		return 0, errors.New("store: writing outside of a batch")
	}
	if err := q.tx.touch(); err != nil {
		return 0, err
	}
	return q.execRaw(ctx, query, args...)
}

func (q queries) execRaw(ctx context.Context, query string, args ...any) (int64, error) {
	st, err := q.prepare(ctx, query) //nolint:sqlclosecheck // it is kept
	if err != nil {
		return 0, err
	}
	r, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, q.note(err)
	}
	return r.RowsAffected()
}

// note says in words what the disk has to do with an error, and keeps the one
// that may have ended the transaction: SQLite rolls back by itself where it
// meets a full disk, an I/O error or no memory.
func (q queries) note(err error) error {
	if err == nil {
		return nil
	}
	code := resultCode(err)
	err = q.disk.words(code, err)
	if q.tx != nil {
		switch code {
		case sqliteNoMemory, sqliteInterrupt, sqliteIO, sqliteFull:
			q.tx.over = err
		}
	} else if errors.Is(err, errFails) {
		q.disk.unreadable(err)
	}
	return err
}
