package store

import (
	"database/sql"
	"errors"
	"net/url"

	"modernc.org/sqlite" // the database driver, pure Go
)

// What this file holds is all that knows which driver it is.

// pragma is one of SQLite's settings of a connection.
type pragma struct{ name, value string }

// openDatabase opens the file at path, whose every connection has these
// settings, and whose transactions write from their beginning.
func openDatabase(path string, settings ...pragma) (*sql.DB, error) {
	// A folder's name may hold what separates the parts of an address.
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?_txlock=immediate"
	for _, p := range settings {
		dsn += "&_pragma=" + url.QueryEscape(p.name+"("+p.value+")")
	}
	return sql.Open("sqlite", dsn)
}

// Those of SQLite's codes that say something about the disk, or end a
// transaction.
const (
	sqliteNoMemory  = 7
	sqliteReadOnly  = 8
	sqliteInterrupt = 9
	sqliteIO        = 10
	sqliteCorrupt   = 11
	sqliteFull      = 13
	sqliteCantOpen  = 14
	sqliteNotADB    = 26
)

// resultCode is SQLite's own code of an error, 0 where it is none of SQLite's.
func resultCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}
