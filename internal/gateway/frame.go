package gateway

import (
	"bytes"
	"strconv"

	"github.com/kabar-io/kabar/internal/ws"
)

// MaxRef is how many bytes the ref of a frame may have: what is remembered for
// a client is bounded.
const MaxRef = 128

var bom = []byte("\ufeff")

// TrimFrame passes over what may stand before a frame's object: a byte order
// mark and blanks.
func TrimFrame(p []byte) []byte { return bytes.TrimLeft(bytes.TrimPrefix(p, bom), " \t\r\n") }

// AppendFrame appends an object that lacks its closing brace as a text frame,
// with its position where the session shows one (epoch is not "") and it has
// one. Of nil it makes nothing.
func AppendFrame(dst, object []byte, seq uint64, epoch string) []byte {
	if object == nil {
		return dst
	}
	if epoch != "" && seq != 0 {
		object = append(object, `,"seq":`...)
		object = strconv.AppendUint(object, seq, 10)
		object = AppendString(append(object, `,"epoch":`...), epoch)
	}
	return ws.AppendText(dst, append(object, '}'))
}
