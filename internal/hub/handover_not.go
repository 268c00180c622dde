//go:build !nohandover

package hub

// handOver is always on, but in a binary that the simulator must find out.
const handOver = true
