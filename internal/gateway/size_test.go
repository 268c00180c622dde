package gateway

import (
	"testing"
	"unsafe"
)

// TestSizes counts the bytes of what there is for each connection, as hub's does.
func TestSizes(t *testing.T) {
	for what, size := range map[string][2]uintptr{
		"a socket":                       {unsafe.Sizeof(Socket{}), 160},
		"a socket that may have a login": {unsafe.Sizeof(LoginSocket{}), 168},
		"the login of one that has":      {unsafe.Sizeof(login{}), 64},
		"one more topic that it hears":   {unsafe.Sizeof(more{}), 16},
	} {
		if size[0] != size[1] {
			t.Errorf("%s has %d bytes, not %d", what, size[0], size[1])
		}
	}
}
