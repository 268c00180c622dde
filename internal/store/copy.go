package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kabar-io/kabar/internal/journal"
)

// Database is the name of the one file in a data folder that everything is in,
// and Unfinished that of one that is being restored.
const (
	Database   = database
	Unfinished = database + ".restoring"
)

// Facts is what a database says of itself.
type Facts struct {
	Schema int64  `json:"schema"` // of the newest migration that it has
	Epoch  string `json:"epoch"`  // of its log
	Head   uint64 `json:"head"`   // the log's last row
	Rows   uint64 `json:"rows"`   // the log's
}

// Copy writes the database of a data folder, as it is at this moment, to a file
// that does not exist or is empty. A server may be using it: it is read in one
// transaction, which holds up no writer. What cannot be read makes it fail.
func Copy(ctx context.Context, folder, to string) (Facts, error) {
	path := filepath.Join(folder, database)
	db, err := existing(path)
	if err != nil {
		return Facts{}, err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", to)
	if err = errors.Join(err, db.Close()); err != nil {
		return Facts{}, explain(folder, fmt.Errorf("copying %s: %w", path, err))
	}
	copied, err := existing(to)
	if err != nil {
		return Facts{}, err
	}
	facts, err := factsOf(ctx, copied)
	if err == nil {
		var faults []string
		if faults, err = logFaults(ctx, copied); err == nil && len(faults) > 0 {
			err = explain(folder, fmt.Errorf("copying %s: %w: %s", path, errDamaged, strings.Join(faults, "; ")))
		}
	}
	return facts, errors.Join(err, copied.Close())
}

// Restored makes a database that was copied the beginning of another log: what
// it holds is checked as a whole, and the log gets a new epoch. It returns what
// the database said before, and the new epoch.
func Restored(ctx context.Context, file string) (before Facts, epoch string, err error) {
	db, err := existing(file)
	if err != nil {
		return before, "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	faults, err := integrity(ctx, db)
	if err != nil {
		return before, "", err
	}
	if len(faults) > 0 {
		return before, "", fmt.Errorf("the database in it is damaged: %s", strings.Join(faults, "; "))
	}
	if before, err = factsOf(ctx, db); err != nil {
		return before, "", err
	}
	newest, err := newestSchema()
	if err != nil {
		return before, "", err
	}
	if before.Schema > newest {
		return before, "", fmt.Errorf("it was made by a newer kabar (schema %d, this one knows %d): restore it with that version", before.Schema, newest)
	}
	if faults, err = logFaults(ctx, db); err != nil {
		return before, "", err
	}
	if len(faults) > 0 {
		return before, "", fmt.Errorf("the log in it is damaged: %s", strings.Join(faults, "; "))
	}
	epoch = newEpoch()
	_, err = db.ExecContext(ctx, "UPDATE meta SET value = ? WHERE name = 'epoch'", epoch)
	return before, epoch, err
}

// Check reads the whole database of a data folder, and returns what is damaged:
// in SQLite's words, and, where SQLite sees nothing wrong, what in the log is not
// what was written. A server may be using it.
func Check(ctx context.Context, folder string) (facts Facts, faults []string, err error) {
	db, err := existing(filepath.Join(folder, database))
	if err != nil {
		return facts, nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if faults, err = integrity(ctx, db); err != nil || len(faults) > 0 {
		return facts, faults, err
	}
	if facts, err = factsOf(ctx, db); err != nil {
		return facts, nil, err
	}
	faults, err = logFaults(ctx, db)
	return facts, faults, err
}

// existing opens a database that has to be there.
func existing(path string) (*sql.DB, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no database %s: name the data folder of a server with --data", path)
	} else if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", path, err)
	}
	db, err := openDatabase(path, pragma{"busy_timeout", "10000"}, pragma{"synchronous", "FULL"})
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// maxFaults is how many are listed.
const maxFaults = 20

// integrity is what SQLite finds wrong in reading everything.
func integrity(ctx context.Context, db *sql.DB) (faults []string, err error) {
	rows, err := db.QueryContext(ctx, "PRAGMA integrity_check("+strconv.Itoa(maxFaults)+")")
	if err != nil {
		return damaged(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return damaged(err)
		}
		if line != "ok" {
			faults = append(faults, line)
		}
	}
	if err := rows.Err(); err != nil {
		return damaged(err)
	}
	return faults, nil
}

// logFaults is what of the log does not hold what was written, though SQLite sees
// nothing wrong with it: rows, and parts of the index.
func logFaults(ctx context.Context, db *sql.DB) ([]string, error) {
	faults, err := faultsIn(ctx, db, "SELECT '', pos, data FROM journal", func(_ string, pos uint64, data []byte) error {
		return journal.Row{Pos: pos, Data: data}.Check()
	})
	if err != nil || len(faults) > 0 {
		return faults, err
	}
	return faultsIn(ctx, db, "SELECT topic, first, positions FROM journal_index", func(topic string, first uint64, steps []byte) error {
		_, err := unpack(topic, first, steps)
		if err != nil {
			err = fmt.Errorf("the index of %s at %d: %w", topic, first, err)
		}
		return err
	})
}

// faultsIn is what check finds wrong in what a query reads.
func faultsIn(ctx context.Context, db *sql.DB, query string, check func(topic string, number uint64, data []byte) error) (faults []string, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return damaged(err)
	}
	defer rows.Close()
	for len(faults) < maxFaults && rows.Next() {
		var topic string
		var number uint64
		var data sql.RawBytes
		if err := rows.Scan(&topic, &number, &data); err != nil {
			return damaged(err)
		}
		if err := check(topic, number, data); err != nil {
			faults = append(faults, err.Error())
		}
	}
	if err := rows.Err(); err != nil {
		return damaged(err)
	}
	return faults, nil
}

// damaged makes a fault of the error that says that there is one.
func damaged(err error) ([]string, error) {
	if code := resultCode(err); code == sqliteCorrupt || code == sqliteNotADB {
		return []string{err.Error()}, nil
	}
	return nil, err
}

func factsOf(ctx context.Context, db *sql.DB) (f Facts, err error) {
	var mark string
	for query, dest := range map[string]any{
		"SELECT max(version_id) FROM goose_db_version WHERE is_applied": &f.Schema,
		"SELECT value FROM meta WHERE name = 'epoch'":                   &f.Epoch,
		"SELECT value FROM meta WHERE name = 'mark'":                    &mark,
		"SELECT coalesce(max(pos), 0) FROM journal":                     &f.Head,
		"SELECT count(*) FROM journal":                                  &f.Rows,
	} {
		if err := db.QueryRowContext(ctx, query).Scan(dest); err != nil {
			return f, fmt.Errorf("this is no database of Kabar's: %w", err)
		}
	}
	n, err := strconv.ParseUint(mark, 10, 64)
	f.Head = max(f.Head, n) // the last rows may be gone, their numbers are given
	return f, err
}
