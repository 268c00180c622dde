package load

import (
	"bytes"
	"strconv"
	"time"
)

// message is one that is due: its number in the run, and when, since the run
// began. On its way it is text: bench-<run>-<number>-<nanoseconds>- and as many
// letters as it takes.
type message struct {
	n  int
	at time.Duration
}

// head is the part of a message that tells it from all others.
func (r *run) head(m message) []byte {
	b := append(make([]byte, 0, r.o.Size), r.mark...)
	b = strconv.AppendInt(b, int64(m.n), 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, int64(m.at), 10)
	return append(b, '-')
}

// text is a message of the size that was asked for.
func (r *run) text(m message) []byte {
	b := r.head(m)
	for len(b) < r.o.Size {
		b = append(b, 'x')
	}
	return b
}

// find finds a message of this run in a frame.
func (r *run) find(frame []byte) (m message, ok bool) {
	at := bytes.Index(frame, r.mark)
	if at < 0 {
		return m, false
	}
	n, rest := digits(frame[at+len(r.mark):])
	if len(rest) == 0 || rest[0] != '-' {
		return m, false
	}
	due, rest := digits(rest[1:])
	m = message{int(n), time.Duration(due)}
	return m, len(rest) > 0 && rest[0] == '-' && m.n < r.o.messages()
}

// digits reads a number, and returns what follows it.
func digits(b []byte) (n uint64, rest []byte) {
	for len(b) > 0 && b[0] >= '0' && b[0] <= '9' {
		n, b = n*10+uint64(b[0]-'0'), b[1:]
	}
	return n, b
}

// position is the number of a frame in its topic, 0 for none.
func position(frame []byte) uint64 {
	_, after, found := bytes.Cut(frame, []byte(`"seq":`))
	if !found {
		return 0
	}
	n, _ := digits(after)
	return n
}
