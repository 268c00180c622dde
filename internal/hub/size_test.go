package hub

import (
	"testing"
	"unsafe"
)

// TestSizes counts the bytes of what there is for each session, and for each
// topic that somebody hears. Who makes one of them larger pays a million times:
// change the number here knowingly, and docs/performance.md with it.
func TestSizes(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Log("these are the sizes where a pointer has 8 bytes")
		return
	}
	for what, size := range map[string][2]uintptr{
		"a session":                      {unsafe.Sizeof(Session{}), 144},
		"its entry in its group":         {unsafe.Sizeof(entry{}), 32},
		"a topic":                        {unsafe.Sizeof(topic{}), 96},
		"a group of a topic":             {unsafe.Sizeof(group{}), 64},
		"an item of a shard's mailbox":   {unsafe.Sizeof(item{}), 56},
		"a message that waits for many":  {unsafe.Sizeof(heard{}), 16},
		"a page that waits to be read":   {unsafe.Sizeof(task{}), 40},
		"what remembers a message's way": {unsafe.Sizeof(held{}), 24},
	} {
		if size[0] != size[1] {
			t.Errorf("%s has %d bytes, not %d", what, size[0], size[1])
		}
	}
}
