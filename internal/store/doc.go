// Package store keeps the core's ports on SQL: the journal's rows and the
// tables of accounts, chats and instances, in one SQLite file of the data
// folder, made and changed by numbered migrations.
//
// It promises: one write transaction at a time; what Commit returned from is
// on the disk (WAL, synchronous=FULL); readers see committed snapshots and
// hold up nobody; a folder of a newer version, or one in use, is refused with
// what to do. It never makes a rule.
package store
