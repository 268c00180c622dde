// Package faultdisk makes the disk below a store fail on command, for tests:
// full, read-only, broken in writing, syncing or reading, damaged. It stands
// between SQLite and its files, so everything above is the real thing.
//
//	disk := faultdisk.Under(folder) // before the store opens the folder
//	disk.Fail(faultdisk.Fault{Ops: faultdisk.Write, Error: faultdisk.Full})
//	…                               // every write fails; disk.Struck() counts
//	disk.Heal()
//
// Damage writes over a page of a database file. In a binary that is built with
// the tag faultdisk, the file that FAULTDISK names says what fails: it holds
// what Fault.String writes, a line for each, and is looked at every 10 ms; a
// missing or empty file is a disk that works. It goes together with the tag
// powercut, under which what is not synced is lost with the process. It never
// stands in a binary for use.
package faultdisk
