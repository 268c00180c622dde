//go:build goroutinereader

package ws

// defaultReader is the other one, for tests that are run with both.
const defaultReader = Goroutine
