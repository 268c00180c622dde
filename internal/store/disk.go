package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// database is the name of the one file that everything is in.
const database = "kabar.db"

// medium is what the store knows of the disk below it.
type medium struct {
	folder string      // static
	file   fs.FileInfo // static: the database, as it was opened

	// doubtful: a transaction failed, so what the writing connection holds may
	// not be what is on the disk; owned by the writer
	doubtful bool

	mu      sync.Mutex
	damage  trouble // guarded by mu: the first that was met
	reading trouble // guarded by mu: the last error in reading
}

// trouble is something that did not work.
type trouble struct {
	what  error // nil for nothing
	since time.Time
	last  time.Time
}

// calm is how long nothing may fail until reading is said to work again.
const calm = 10 * time.Second

// What can be wrong with a disk, for whoever wanted something of it.
var (
	errFull     = status.Errorf(status.Unavailable, "DISK_FULL", "the disk is full")
	errReadOnly = status.Errorf(status.Unavailable, "DISK_READ_ONLY", "the disk is read-only")
	errFails    = status.Errorf(status.Unavailable, "DISK_FAILS", "the disk reports errors")
	errDamaged  = journal.ErrDamaged
)

// words puts what the disk has to do with it before an error of SQLite's.
func (d *medium) words(code int, err error) error {
	switch code {
	case sqliteFull:
		return fmt.Errorf("%w: %w", errFull, err)
	case sqliteReadOnly, sqliteIO, sqliteCantOpen:
		return fmt.Errorf("%w: %w", d.why(), err)
	case sqliteCorrupt, sqliteNotADB:
		err = fmt.Errorf("%w: %w", errDamaged, err)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.damage.add(err, 100*365*24*time.Hour)
	}
	return err
}

func (d *medium) isDamaged() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.damage.what != nil
}

// about says of what an error is. Where it is the damage that is known, that is
// known of it, too.
func (d *medium) about(what string, err error) error {
	if !errors.Is(err, errDamaged) {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	said := fmt.Errorf("%s: %w", what, err)
	if d.damage.what != nil && errors.Is(err, d.damage.what) {
		d.damage.what = said
	}
	return said
}

// add notes an error, which belongs to the trouble before it if that is not long over.
func (t *trouble) add(err error, over time.Duration) {
	now := time.Now()
	if t.what == nil || now.Sub(t.last) > over {
		t.what, t.since = err, now
	}
	t.last = now
}

// unreadable notes that the disk could not be read.
func (d *medium) unreadable(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reading.add(err, calm)
}

// why finds out what SQLite calls an I/O error: making a file of its longer on
// a full disk is one, and so is writing where nothing can be written any more.
func (d *medium) why() error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(d.folder, &st); err == nil {
		switch {
		case readOnly(&st):
			return errReadOnly
		case st.Bavail == 0:
			return errFull
		}
	}
	return errFails
}

// readOnly is the flag ST_RDONLY, the same everywhere.
func readOnly(st *syscall.Statfs_t) bool { return st.Flags&1 != 0 }

// Damaged notes that what is stored cannot be right, though SQLite says nothing:
// it has no checksums of its own.
func (q queries) Damaged(what error) error { return q.disk.words(sqliteCorrupt, what) }

// explain adds what to do to an error that keeps the store from opening.
func explain(folder string, err error) error {
	switch {
	case errors.Is(err, errDamaged), resultCode(err) == sqliteCorrupt, resultCode(err) == sqliteNotADB:
		return fmt.Errorf("%w\n%s is damaged: `kabar data check` says where; `kabar restore` puts a backup into an empty folder", err, filepath.Join(folder, database))
	case errors.Is(err, errFull), errors.Is(err, errReadOnly), errors.Is(err, errFails):
		return fmt.Errorf("%w\nNothing is lost by it: once %s can be written again, start again", err, folder)
	}
	return err
}

// Damage is since when it is known that the database is damaged, and what was
// met first; nil where nothing is known. It stays until the store is opened anew.
func (s *Store) Damage() (since time.Time, what error) {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	return s.disk.damage.since, s.disk.damage.what
}

// Reading is since when and why reading fails, nil where it went well for a while.
func (s *Store) Reading() (since time.Time, why error) {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	if t := s.disk.reading; t.what != nil && time.Since(t.last) <= calm {
		return t.since, t.what
	}
	return time.Time{}, nil
}

// Free is how many bytes the disk has left for the data folder.
func (s *Store) Free() (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.disk.folder, &st); err != nil {
		return 0, fmt.Errorf("data folder: %w", err)
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// settle brings what the write-ahead log holds into the database, and both onto
// the disk. What an earlier process wrote last, and could not sync, may be in
// the system's memory alone, and look like the rest: nothing may stand on it.
func (s *Store) settle(ctx context.Context) error {
	var busy, pages, moved int
	err := s.write.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved)
	if err == nil && busy != 0 {
		err = rewrite(s.path + "-wal")
	}
	if err != nil {
		return s.disk.words(resultCode(err), err)
	}
	return nil
}

// rewrite writes a file's bytes over themselves and syncs them: a sync alone
// says nothing of what the system has dropped after one that failed. It is for
// a write-ahead log that a backup reads, so that it cannot be emptied; readers
// find the same bytes, and nobody writes.
func rewrite(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // in the operator's own folder
	if err != nil {
		return fmt.Errorf("%w: %w", errFails, err)
	}
	part := make([]byte, 1<<20)
	for at := int64(0); err == nil; {
		var n int
		n, err = f.ReadAt(part, at)
		if _, failed := f.WriteAt(part[:n], at); failed != nil {
			err = failed
		}
		at += int64(n)
	}
	if errors.Is(err, io.EOF) {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%w: %w", errFails, err)
	}
	return nil
}

// renew gives the writer a new connection after a transaction that failed: with
// descriptors that have seen no error, and nothing in memory of what was never
// stored. The file has to be the one that was opened.
func (s *Store) renew(ctx context.Context) error {
	if !s.disk.doubtful {
		return nil
	}
	now, err := os.Stat(s.path)
	if err != nil {
		return fmt.Errorf("%w: %w", errFails, err)
	}
	if !os.SameFile(s.disk.file, now) {
		return fmt.Errorf("%w: %s is another file than the one that was opened: restart the server", errFails, s.path)
	}
	c, err := s.write.Conn(ctx)
	if err != nil {
		return s.disk.words(resultCode(err), err)
	}
	if err := c.Raw(func(any) error { return driver.ErrBadConn }); !errors.Is(err, driver.ErrBadConn) {
		return errors.Join(err, c.Close())
	}
	_ = c.Close() // it is gone already
	s.disk.doubtful = false
	return nil
}

// Probe writes when it was tried last. (An UPDATE to what is there already would
// write nothing.)
func (t *Tx) Probe() error {
	_, err := t.execRaw(background, "INSERT OR REPLACE INTO meta (name, value) VALUES ('probed', ?)", time.Now().UTC().Format(time.RFC3339Nano))
	return err
}
