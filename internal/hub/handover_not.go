//go:build !nohandover

package hub

// handOver is always on, but in a binary that must be found out.
const handOver = true
