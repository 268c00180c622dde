// Package vfs puts something between SQLite and its files, for tests and for
// what tests build: a disk that fails, one that forgets what was not synced,
// one that is in memory. It is what all of them share of the way in and out of
// SQLite, so that they are plain Go.
//
//	vfs.Insert(layer) // from now on layer opens every file of a database
//
// Locks, and what connections share in memory, stay the system's. It never
// stands in a binary for use.
package vfs

import "io"

// File is an open file of a database. One connection uses it at a time.
//
// What is behind its end reads as zeros, with io.EOF. syscall.ENOSPC from
// WriteAt is a full disk to SQLite, every other error an I/O error.
type File interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Size() (int64, error)
	Close() error
}

// Layer stands between SQLite and its files. It is called from many goroutines
// at once.
type Layer interface {
	// Open opens a database, its write-ahead log or its rollback journal. below
	// does so without this layer; SQLite reads and writes the File that Open
	// returns, and locks the one that below opened, so below is called where
	// anything is returned. An error is one to SQLite, too.
	Open(path string, below func() (File, error)) (File, error)
	// Remove removes such a file; below does so without this layer.
	Remove(path string, below func() error) error
}
