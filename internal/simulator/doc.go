// Package simulator runs a whole server, again and again, on a machine that
// does not exist: its wires and its disk are in memory, its clock is
// testing/synctest's, and one number, the seed, decides everything that is done
// to it. Power cuts, full disks, wires that are cut, stall or deliver late, and
// readers who are slow or gone are tried by the thousand, in a minute.
//
// It promises: each of the README's promises is a check here, under its own
// words; a run that breaks one says the seed, the promise and what happened
// last, and the same seed does the same things to the server again. What a seed
// does not decide is how the server's goroutines take turns.
//
// It stands outside the server, like the checker: it knows only what travels
// over the wire. What it runs is handed to it.
package simulator
