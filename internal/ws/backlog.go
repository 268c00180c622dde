package ws

import (
	"slices"
	"sync"
)

const (
	// joinUpTo is how much is copied together to leave in one write.
	joinUpTo = 64 << 10
	// copies of small pieces are put into arrays of these sizes, each twice the last.
	leastCopy, mostCopy = 128, 16 << 10
	// perPiece is about what a piece takes beside its bytes.
	perPiece = 64
)

// backlog is what the socket did not take yet, in pieces. Each begins with a
// frame, but for the first, which may be begun. A piece is a copy of ours, or is
// shared by all connections that wait for it; its bytes never change.
type backlog struct {
	pieces [][]byte
	size   int    // bytes that wait
	off    int    // what is sent of the first piece
	mark   int    // a place in the first piece where a frame begins, or will
	busy   int    // bytes from off that a write under way has in hand
	due    int64  // when no progress becomes a stall; 0 before the handshake's answer
	ping   []byte // the latest ping that came while the queue was full; nil is none
	ours   bool   // the last piece is a copy, and grows as far as its array goes
}

// waiting is how many bytes wait.
func (b *backlog) waiting() int {
	if b == nil {
		return 0
	}
	return b.size
}

// held is about what memory they take where nobody shares it.
func (b *backlog) held() int {
	if b == nil {
		return 0
	}
	return b.size + len(b.pieces)*perPiece
}

// begun is what is left of p when n bytes of it are sent.
func begun(p []byte, keep func() []byte, n int) *backlog {
	b := &backlog{}
	if keep != nil {
		b.share(keep())
		b.sent(n)
		return b
	}
	b.copy(p[n:])
	b.mark = frameEdge(p, n) - n
	return b
}

// frameEdge is the end of the frame of p that n lies in.
func frameEdge(p []byte, n int) int {
	at := 0
	for at < n {
		at += frameLen(p[at:])
	}
	return at
}

// add puts what keep gives behind what waits, or a copy of p where there is no
// keep.
func (b *backlog) add(p []byte, keep func() []byte) {
	if keep != nil {
		b.share(keep())
	} else {
		b.copy(p)
	}
}

// copy puts a copy of p behind what waits.
func (b *backlog) copy(p []byte) {
	if len(p) == 0 {
		return
	}
	room := leastCopy
	if b.ours {
		last := &b.pieces[len(b.pieces)-1]
		if cap(*last)-len(*last) >= len(p) {
			*last = append(*last, p...)
			b.size += len(p)
			return
		}
		room = min(2*cap(*last), mostCopy)
	}
	b.share(append(make([]byte, 0, max(len(p), room)), p...))
	b.ours = true
}

// share puts p itself there, which nobody changes any more.
func (b *backlog) share(p []byte) {
	b.pieces = append(b.pieces, p)
	b.size += len(p)
	b.ours = false
}

// next is what is to be sent next, so many bytes at most: some of one piece, or
// several that are put together, in buf where that is large enough.
func (b *backlog) next(most int, buf []byte) []byte {
	if len(b.pieces) == 0 {
		return nil
	}
	first := b.pieces[0][b.off:]
	if len(b.pieces) == 1 || len(first) >= most/2 {
		return first[:min(len(first), most)]
	}
	most = min(most, b.size)
	buf = append(slices.Grow(buf[:0], most), first...)
	for _, p := range b.pieces[1:] {
		if buf = append(buf, p[:min(len(p), most-len(buf))]...); len(buf) == most {
			break
		}
	}
	return buf
}

// sent notes that the socket took n bytes.
func (b *backlog) sent(n int) {
	b.size -= n
	for b.off += n; len(b.pieces) > 0 && b.off >= len(b.pieces[0]); {
		b.off -= len(b.pieces[0])
		b.pieces[0] = nil
		b.pieces, b.mark = b.pieces[1:], 0
	}
	b.ours = b.ours && len(b.pieces) > 0
}

// cut forgets all frames that are not begun, and lets go of their memory.
func (b *backlog) cut() {
	begun, before, at := b.off+b.busy, 0, b.mark // counted from where the first piece begins
	var rest []byte
	for _, p := range b.pieces {
		for at < len(p) && before+at < begun {
			at += frameLen(p[at:])
		}
		rest = append(rest, p[:at]...)
		if before+at >= begun {
			break
		}
		before, at = before+len(p), 0
	}
	rest = append([]byte(nil), rest[b.off:]...)
	b.pieces, b.size, b.off, b.mark, b.ours = nil, 0, 0, len(rest), false
	b.copy(rest)
}

// appendTo appends all that waits, of which nothing is sent.
func (b *backlog) appendTo(dst []byte) []byte {
	for _, p := range b.pieces {
		dst = append(dst, p...)
	}
	return dst
}

// joined are arrays in which pieces are put together for one write.
var joined = sync.Pool{New: func() any { return new([joinUpTo]byte) }}
