//go:build norecovery

package journal

// recoverIndex is off in a binary that the checker must find out: one that
// forgets, at the start, what the stored index lacks.
const recoverIndex = false
