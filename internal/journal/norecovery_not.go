//go:build !norecovery

package journal

// recoverIndex is always on, but in a binary that the checker must find out.
const recoverIndex = true
