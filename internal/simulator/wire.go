package simulator

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// flow is one direction of a connection: what was written and is on its way.
// As with TCP, what arrives, arrives in order and whole, or not at all.
type flow struct {
	slow func() time.Duration // static: how long the next piece takes

	mu      sync.Mutex
	change  *sync.Cond
	pieces  []piece // guarded by mu
	size    int     // guarded by mu: bytes of pieces
	room    int     // guarded by mu: how many there may be
	stalled bool    // guarded by mu: nothing arrives
	ended   bool    // guarded by mu: nothing more is written
	broken  bool    // guarded by mu: what is there may still be read, then it was cut
	deaf    bool    // guarded by mu: nobody reads any more

	readBy, writeBy time.Time // guarded by mu; zero is never
}

type piece struct {
	data []byte
	due  time.Time
}

func newFlow(room int, slow func() time.Duration) *flow {
	f := &flow{room: room, slow: slow}
	f.change = sync.NewCond(&f.mu)
	return f
}

// wait waits for a change, or until the first of the times. Needs mu.
func (f *flow) wait(until ...time.Time) {
	for _, at := range until {
		if !at.IsZero() {
			defer time.AfterFunc(time.Until(at), f.change.Broadcast).Stop()
		}
	}
	f.change.Wait()
}

func past(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (f *flow) read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		var due time.Time
		switch {
		case f.deaf:
			return 0, net.ErrClosed
		case past(f.readBy):
			return 0, os.ErrDeadlineExceeded
		case f.stalled:
		case len(f.pieces) > 0 && past(f.pieces[0].due):
			return f.take(p), nil
		case len(f.pieces) > 0:
			due = f.pieces[0].due
		case f.broken:
			return 0, syscall.ECONNRESET
		case f.ended:
			return 0, io.EOF
		}
		f.wait(due, f.readBy)
	}
}

// take moves what has arrived. Needs mu.
func (f *flow) take(p []byte) (n int) {
	first := &f.pieces[0]
	n = copy(p, first.data)
	if first.data = first.data[n:]; len(first.data) == 0 {
		f.pieces = f.pieces[1:]
	}
	f.size -= n
	f.change.Broadcast()
	return n
}

func (f *flow) write(p []byte) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(p) > 0 {
		switch {
		case f.ended:
			return n, net.ErrClosed
		case f.broken, f.deaf:
			return n, syscall.ECONNRESET
		case past(f.writeBy):
			return n, os.ErrDeadlineExceeded
		case f.size >= f.room:
			f.wait(f.writeBy)
			continue
		}
		some := min(len(p), f.room-f.size)
		due := time.Now().Add(f.slow())
		if last := len(f.pieces) - 1; last >= 0 && f.pieces[last].due.After(due) {
			due = f.pieces[last].due
		}
		f.pieces = append(f.pieces, piece{append([]byte(nil), p[:some]...), due})
		f.size += some
		n, p = n+some, p[some:]
		f.change.Broadcast()
	}
	return n, nil
}

// set changes the flow's state under its lock.
func (f *flow) set(change func()) {
	f.mu.Lock()
	change()
	f.mu.Unlock()
	f.change.Broadcast()
}

// sever cuts the flow: of what is on its way, so much arrives that fits share.
func (f *flow) sever(share float64) {
	f.set(func() {
		if f.broken {
			return
		}
		f.broken, f.stalled = true, false
		left := int(float64(f.size) * share)
		f.size = left
		for i := range f.pieces {
			if n := len(f.pieces[i].data); n > left {
				f.pieces[i].data = f.pieces[i].data[:left]
				f.pieces = f.pieces[:i+1]
				if left == 0 {
					f.pieces = f.pieces[:i]
				}
				return
			}
			left -= len(f.pieces[i].data)
		}
	})
}

// end is one end of a wire.
type end struct {
	in, out       *flow
	local, remote net.Addr
}

func (e *end) Read(p []byte) (int, error)  { return e.in.read(p) }
func (e *end) Write(p []byte) (int, error) { return e.out.write(p) }
func (e *end) LocalAddr() net.Addr         { return e.local }
func (e *end) RemoteAddr() net.Addr        { return e.remote }

// Close ends both directions, the other's at what was written.
func (e *end) Close() error {
	e.in.set(func() { e.in.deaf = true })
	return e.CloseWrite()
}

// CloseWrite ends one.
func (e *end) CloseWrite() error {
	e.out.set(func() { e.out.ended = true })
	return nil
}

func (e *end) SetReadDeadline(t time.Time) error {
	e.in.set(func() { e.in.readBy = t })
	return nil
}

func (e *end) SetWriteDeadline(t time.Time) error {
	e.out.set(func() { e.out.writeBy = t })
	return nil
}

func (e *end) SetDeadline(t time.Time) error {
	_ = e.SetReadDeadline(t)
	return e.SetWriteDeadline(t)
}

// wire is one connection, as who disturbs it sees it. All of it is static.
type wire struct {
	client, server *end
	keeps          [2]float64 // how much of what is on its way arrives when it is cut
}

// cut ends it for both: each may still get some of what was on its way.
func (w *wire) cut() {
	w.client.in.sever(w.keeps[0])
	w.client.out.sever(w.keeps[1])
}

// stall lets nothing arrive, in the directions named, until it is called again.
func (w *wire) stall(toClient, toServer bool) {
	w.client.in.set(func() { w.client.in.stalled = toClient })
	w.client.out.set(func() { w.client.out.stalled = toServer })
}

// lines is a network: who listens where, and the wires that lead there.
type lines struct {
	mu        sync.Mutex
	listeners map[string]*listener // guarded by mu; by address
}

// manner is how a wire is.
type manner struct {
	delay time.Duration // of each piece, at the most; half of it at least
	room  int           // bytes on their way to the client
}

// plain is a wire that nobody would notice.
var plain = manner{2 * beat, 64 << 10}

// listen makes an address reachable, until Close. What was there is gone.
func (n *lines) listen(address string) *listener {
	l := &listener{n: n, at: addressOf(address), key: address, wires: map[*wire]struct{}{}}
	l.more = sync.NewCond(&l.mu)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners == nil {
		n.listeners = map[string]*listener{}
	}
	n.listeners[address] = l
	return l
}

// dial connects, or is refused.
func (n *lines) dial(address string, m manner, random *rand.Rand) (*wire, error) {
	n.mu.Lock()
	l := n.listeners[address]
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	slow := func() func() time.Duration { // each direction has its own, and calls it under its lock
		own := generator(random.Uint64(), 1)
		return func() time.Duration {
			return (m.delay/2 + time.Duration(own.Int64N(int64(m.delay/2)+1))).Truncate(beat)
		}
	}
	here, there := newFlow(m.room, slow()), newFlow(64<<10, slow())
	from := &net.TCPAddr{IP: net.IPv4(10, 0, byte(random.UintN(250)), byte(1+random.UintN(250))), Port: 1024 + random.IntN(60000)}
	w := &wire{
		client: &end{in: here, out: there, local: from, remote: l.at},
		server: &end{in: there, out: here, local: l.at, remote: from},
		keeps:  [2]float64{random.Float64(), random.Float64()},
	}
	if !l.put(w) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	return w, nil
}

// listener is a net.Listener.
type listener struct {
	n   *lines
	at  net.Addr
	key string

	mu     sync.Mutex
	more   *sync.Cond
	queue  []*wire            // guarded by mu
	wires  map[*wire]struct{} // guarded by mu: all that came
	closed bool               // guarded by mu
	dead   bool               // guarded by mu
}

func (l *listener) put(w *wire) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.wires[w] = struct{}{}
	l.queue = append(l.queue, w)
	l.more.Signal()
	return true
}

// hold has a wire cut when this end of the network loses its power; false
// where that was before.
func (l *listener) hold(w *wire) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wires[w] = struct{}{}
	return !l.dead
}

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		l.more.Wait()
	}
	if l.closed {
		return nil, net.ErrClosed
	}
	w := l.queue[0]
	l.queue = l.queue[1:]
	return w.server, nil
}

// Close lets nobody in any more; who is in stays.
func (l *listener) Close() error {
	l.mu.Lock()
	l.closed = true
	l.more.Broadcast()
	waiting := l.queue
	l.queue = nil
	l.mu.Unlock()
	for _, w := range waiting {
		w.cut()
	}
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	if l.n.listeners[l.key] == l {
		delete(l.n.listeners, l.key)
	}
	return nil
}

// Addr is where it listens.
func (l *listener) Addr() net.Addr { return l.at }

// sever closes it, and cuts every wire that ever led here.
func (l *listener) sever() {
	_ = l.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
	for w := range l.wires {
		w.cut()
	}
}

func addressOf(address string) net.Addr {
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		panic(err) // it is a number
	}
	return a
}
