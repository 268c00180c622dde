// Package backup puts a data folder into one file, and one file into a data
// folder. The file is a tar: the database as it was at one moment, the folder's
// keys, and at the end manifest.json, which says what all that is and has its
// checksums. It holds secrets, and nobody but its owner can read it.
//
// It promises: a file that has its name is whole and on the disk; a folder is
// restored as a whole or not at all; its log has a new epoch then, so that a
// position of before is refused and not taken for another. The checksums find
// what was damaged by chance; they are no signature.
package backup
