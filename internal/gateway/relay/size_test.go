package relay

import (
	"testing"
	"unsafe"
)

// TestSize counts the bytes of what there is for each connection.
func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(socket{}); n != 184 {
		t.Errorf("a socket has %d bytes", n)
	}
}
