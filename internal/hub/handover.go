//go:build nohandover

package hub

// handOver is off in a binary that the simulator and the checker must find out:
// one where a session that has read to its position is live at once, whatever
// was said meanwhile.
const handOver = false
