package ws

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// shared is what goes to many, as who sends it has it: in an array that is used
// again for the next.
type shared struct {
	buf  []byte
	mu   sync.Mutex
	kept []byte
}

func (s *shared) keep() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = bytes.Clone(s.buf)
	}
	return s.kept
}

// next writes another message into the array, when nobody is being sent to.
func (s *shared) next(payload []byte) []byte {
	for i := range s.buf {
		s.buf[i] = 0xee
	}
	s.buf, s.kept = AppendBinary(s.buf[:0], payload), nil
	return s.buf
}

// slowPeer is one with its own end of the line, whatever is around that.
type slowPeer struct {
	*peer
	plain *net.TCPConn
}

// slowSite is a site whose peers take little before they read.
func slowSite(t *testing.T, way string, o Options, accept Acceptor) (*site, func() *slowPeer) {
	t.Helper()
	ln, err := ListenTCP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Reader = Reader(way)
	if way == "tls" {
		o.Reader = Goroutine
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}})
	}
	s := newSiteOn(t, ln, o, accept)
	return s, func() *slowPeer {
		p := s.dial()
		plain := p.Conn.(*net.TCPConn)
		_ = plain.SetReadBuffer(4096)
		if way == "tls" {
			p.Conn = tls.Client(p.Conn, &tls.Config{InsecureSkipVerify: true})
			p.br = newReader(p.Conn)
		}
		p.write([]byte(opening))
		p.wantOpen()
		return &slowPeer{p, plain}
	}
}

// Messages that many connections wait for, between those of their own: each gets
// what it took, all of it, in order, whatever becomes of the arrays they came in.
func TestShare(t *testing.T) {
	for _, way := range []string{string(Epoll), string(Goroutine), "tls"} {
		t.Run(way, func(t *testing.T) { shareAndSend(t, way) })
	}
}

// marked is a payload that tells its number, and whether it is whole.
func marked(n uint32, size int) []byte {
	b := binary.BigEndian.AppendUint32(nil, n)
	for i := range size {
		b = append(b, byte(int(n)*7+i))
	}
	return b
}

// marks reads messages up to the one with the number 0.
func (p *peer) marks() (got []uint32, err error) {
	for {
		_, b, err := p.next()
		if err != nil {
			return got, err
		}
		n := binary.BigEndian.Uint32(b)
		if !bytes.Equal(b, marked(n, len(b)-4)) {
			return got, fmt.Errorf("message %d is not as it was", n)
		}
		if n == 0 {
			return got, nil
		}
		got = append(got, n)
	}
}

// shareAndSend sends to some connections at a time, as the hub's shards do, while
// the peers read nothing, and from the middle on while they do.
func shareAndSend(t *testing.T, way string) {
	t.Helper()
	const conns, rounds = 6, 700
	accept, opened := one(&funcs{}, &Limits{Queue: 64 << 10})
	_, open := slowSite(t, way, Options{}, accept)
	peers, cs := make([]*slowPeer, conns), make([]*Conn, conns)
	took, got := make([][]uint32, conns), make([][]uint32, conns)
	for i := range conns {
		peers[i] = open()
		cs[i] = receive(t, opened)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	var out shared
	var readers sync.WaitGroup
	for n := uint32(1); n <= rounds; n++ {
		if n == rounds/2 {
			for i, p := range peers {
				readers.Go(func() {
					var err error
					_ = p.plain.SetReadBuffer(1 << 20)
					if got[i], err = p.marks(); err != nil {
						t.Error(err)
					}
				})
			}
		}
		frame := out.next(marked(n, rng.IntN(6000)))
		var halves sync.WaitGroup
		for _, from := range []int{0, conns / 2} {
			halves.Go(func() {
				for i := from; i < from+conns/2; i++ {
					if cs[i].Share(frame, out.keep) {
						took[i] = append(took[i], n)
					}
				}
			})
		}
		halves.Wait()
		own := AppendBinary(nil, marked(n+rounds, 20))
		for i, c := range cs {
			if n%5 == 0 && c.Send(own) {
				took[i] = append(took[i], n+rounds)
			}
		}
		clear(own)
	}
	for i, c := range cs {
		eventually(t, "room for the last word", func() bool { return c.Send(AppendBinary(nil, marked(0, 0))) })
		if len(took[i]) >= rounds+rounds/5 {
			t.Errorf("%d was never full", i)
		}
	}
	readers.Wait()
	for i := range cs {
		if !slices.Equal(got[i], took[i]) {
			t.Errorf("%d took %d messages, and its peer has %d, or others", i, len(took[i]), len(got[i]))
		}
	}
}

// What many stalled connections wait for stands in the memory once for all of
// them, and goes when they are given up, each with 4008.
func TestStalledConnectionsShareTheirMemory(t *testing.T) {
	for _, way := range []string{string(Epoll), string(Goroutine), "tls"} {
		t.Run(way, func(t *testing.T) { stallTogether(t, way) })
	}
}

func stallTogether(t *testing.T, way string) {
	t.Helper()
	const conns, queue, size = 40, 256 << 10, 8000
	ends := newEndings(t)
	accept, opened := one(&funcs{closed: ends.closed}, &Limits{Queue: queue})
	s, open := slowSite(t, way, Options{WriteStall: time.Second, CloseTimeout: generous}, accept)
	cs := make([]*Conn, conns)
	for i := range cs {
		open()
		cs[i] = receive(t, opened)
	}
	var out shared
	copies, waiting := 0, 0
	for n, full := uint32(1), 0; full < conns; n++ {
		frame := out.next(marked(n, size))
		full = 0
		for _, c := range cs {
			if !c.Share(frame, out.keep) || c.over.Load() { // given up already, on a slow machine
				full++
			}
		}
		if out.kept != nil {
			copies++
		}
	}
	arrays := map[*byte]int{}
	for _, c := range cs {
		c.mu.Lock()
		if c.end == nil {
			waiting += c.back.waiting()
			for _, p := range c.back.pieces {
				arrays[unsafe.SliceData(p)] = cap(p)
			}
		}
		c.mu.Unlock()
	}
	held := 0
	for _, n := range arrays {
		held += n
	}
	t.Logf("%d bytes wait, in %d, of %d messages", waiting, held, copies)
	if len(arrays) > copies {
		t.Errorf("%d arrays are held of %d messages", len(arrays), copies)
	}
	for range cs {
		ends.want("4008 too slow, no progress")
	}
	for _, c := range cs {
		c.mu.Lock()
		if n := c.back.held(); n > streamChunk+2*size { // what a write had in hand, to the end of a frame
			t.Errorf("%d bytes are held for one that is given up", n)
		}
		c.mu.Unlock()
	}
	if n := s.Stats().Stalls; n != conns {
		t.Errorf("%d were counted", n)
	}
}

// What is shared in small pieces counts with what each takes beside its bytes.
func TestSmallPiecesCount(t *testing.T) {
	const queue = 64 << 10
	accept, opened := one(&funcs{}, &Limits{Queue: queue})
	_, open := slowSite(t, string(Epoll), Options{}, accept)
	open()
	c := receive(t, opened)
	var out shared
	for c.Share(out.next(marked(1, 0)), out.keep) {
	}
	c.mu.Lock()
	n := len(c.back.pieces)
	c.mu.Unlock()
	if n > queue/perPiece || n < queue/perPiece/2 {
		t.Errorf("%d pieces wait", n)
	}
}

// A copy of our own between what is shared takes no more than it counts with.
func TestSmallCopiesCount(t *testing.T) {
	b, took := &backlog{}, 0
	for range 1000 {
		b.share(marked(1, 0))
		b.copy(marked(2, 0))
		took += cap(b.pieces[len(b.pieces)-1])
	}
	if took > b.held() {
		t.Errorf("what counts %d takes %d, and what is shared beside", b.held(), took)
	}
}

// The kernel takes little for a peer that does not read: by itself it would take
// megabytes, once for each.
func TestTheKernelTakesLittle(t *testing.T) {
	if runtime.GOOS != "linux" {
		return
	}
	for _, way := range []string{string(Epoll), string(Goroutine)} {
		accept, opened := one(&funcs{}, &Limits{Queue: 1000})
		_, open := slowSite(t, way, Options{}, accept)
		open()
		c := receive(t, opened)
		frame, took := AppendBinary(nil, pattern(8000)), 0
		for c.Send(frame) {
			took += len(frame)
		}
		if took -= c.Queued(); took > 512<<10 {
			t.Errorf("%s: it took %d bytes", way, took)
		}
	}
}
