//go:build linux && (amd64 || arm64)

package ws

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	batchEvents = 128 // what is asked of the kernel at a time, events and connections
	// passReads is how much is read from one connection before the others have
	// their turn, in buffers.
	passReads = 4
	// maxWorkers is how many handlers may wait at a time. From there on the
	// poller waits with them: the kernel then holds the peers back. As many again
	// may go on with connections that were passed on; from there on those wait.
	maxWorkers = 1 << 10

	// blockedAfter is for how long a handler is at one thing that waits, and not
	// only for its turn on a busy machine.
	blockedAfter = 500 * time.Millisecond

	readEvents = syscall.EPOLLIN | syscall.EPOLLRDHUP | edge
	edge       = 1 << 31 // EPOLLET, which the syscall package has as a negative number
)

// Whose turn it is to read a polled connection. The one who has set isRead may
// read it, and is the only one who closes its descriptor.
const (
	isRead  = 1 << iota // somebody reads
	isAgain             // something came meanwhile
	isHup               // the peer has ended its side: a short read is not the last
)

// poller is the sock of plain TCP connections: an edge-triggered epoll set, which
// is waited for through Go's own poller. One goroutine has the role of the
// leader: it asks for events and handles them itself, one after another. Before
// a handler waits for something, it hands the role on (Turn.Blocking), and not
// the connection: what it was doing it does to the end, and then goes.
type poller struct {
	// static
	srv  *Server
	epfd int
	file *os.File // of epfd
	raw  syscall.RawConn
	look func(epfd uintptr) bool // asks once, without waiting

	wg     sync.WaitGroup // leader and workers
	closed atomic.Bool

	// guarded by mu
	mu      sync.Mutex
	term    uint64 // counts leaders
	busy    bool   // the leader handles something
	stays   bool   // it would hand its role on, and too many have
	claimed uint64 // counts what leaders handled
	checked        // what check saw
	workers int    // that had the role and are not done
	fronts  []*front

	passed passed

	// owned by the leader, handed on with mu
	events [batchEvents]syscall.EpollEvent
	batch  []syscall.EpollEvent // of events: what is not handled
	more   []*Conn              // had their share, and there is more
	ready  []*Conn              // more, as of before the last events
}

// checked is what the last check of a poller saw.
type checked struct {
	last  uint64 // its claimed
	looks int    // for how many checks it has been that, and busy
}

// lead is the role, as far as a Turn has it.
type lead struct {
	p    *poller // nil: it has not
	term uint64
}

// polling is the server's poller, made when it is first needed; nil where the
// connections are read by goroutines.
func (s *Server) polling() *poller {
	if s.opt.Reader != Epoll {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.poller == nil && !s.stopping {
		p, err := newPoller(s)
		if err != nil {
			s.opt.Log.Warn("ws: no epoll set; connections are read by a goroutine each", "error", err)
			return nil
		}
		s.poller = p
	}
	return s.poller
}

func newPoller(s *Server) (*poller, error) {
	epfd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(epfd, true); err != nil { // or os.NewFile makes it one that blocks
		_ = syscall.Close(epfd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller{srv: s, epfd: epfd, file: os.NewFile(uintptr(epfd), "epoll")}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil, err
	}
	p.look = func(epfd uintptr) bool {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, epfd, uintptr(unsafe.Pointer(&p.events[0])), batchEvents, 0, 0, 0) //nolint:gosec // the conversion stands in the call, as unsafe wants it
		if errno != 0 {
			n = 0
		}
		p.batch = p.events[:n]
		return n > 0
	}
	p.wg.Add(1)
	go p.handle(p.newLead(0))
	return p, nil
}

func (p *poller) newLead(term uint64) *Turn {
	t := takeTurn(nil)
	t.lead = lead{p, term}
	return t
}

// close ends the leader; nothing may be left to be polled.
func (p *poller) close() {
	if p != nil {
		p.closed.Store(true)
		_ = p.file.Close()
	}
}

// gone waits for it.
func (p *poller) gone() {
	if p != nil {
		p.wg.Wait()
	}
}

// handle handles events for as long as t has the role.
func (p *poller) handle(t *Turn) {
	defer p.wg.Done()
	term := t.lead.term
	for t.lead.p != nil {
		ev, c, ok := p.next(term)
		switch {
		case !ok:
			t.lead.p = nil
		case c != nil:
			p.pass(c, t)
		case ev.Fd < 0:
			p.accept(p.frontOf(ev.Fd))
		default:
			p.event(t, ev)
		}
	}
	t.release()
	p.mu.Lock()
	if p.term != term {
		p.workers--
	}
	p.mu.Unlock()
}

// next is what the leader of that term handles next: an event, or a connection
// that there is more of. It waits. False is the end of the term.
func (p *poller) next(term uint64) (ev syscall.EpollEvent, c *Conn, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.term != term { // and whoever leads now may be busy
		return ev, nil, false
	}
	for p.busy = false; ; {
		switch {
		case len(p.batch) > 0:
			ev, p.batch = p.batch[0], p.batch[1:]
		case len(p.ready) > 0:
			c = p.ready[0]
			p.ready[0] = nil
			p.ready = p.ready[1:]
		default:
			if !p.ask() {
				return ev, nil, false
			}
			continue
		}
		p.busy, p.stays = true, false
		p.claimed++
		return ev, c, true
	}
}

// ask gets events, and waits for some where there is nothing else to do. Needs
// mu, and lets go of it. False is the end of all.
func (p *poller) ask() bool {
	p.ready = append(p.ready[:0], p.more...)
	clear(p.more)
	p.more = p.more[:0]
	p.mu.Unlock()
	defer p.mu.Lock()
	if len(p.ready) > 0 {
		p.look(uintptr(p.epfd))
		return true
	}
	return p.raw.Read(p.look) == nil
}

// handOn gives the role to somebody else. Where too many have done so and still
// wait, it stays.
func (l *lead) handOn() {
	p := l.p
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.term != l.term { // it was taken away by check, which counted
		l.p = nil
		return
	}
	if p.stays = p.workers >= maxWorkers; !p.stays {
		l.p = nil
		p.depose()
	}
}

// depose begins the next term. Needs mu.
func (p *poller) depose() {
	p.workers++
	p.term++
	p.busy, p.stays = false, false
	p.wg.Add(1)
	go p.handle(p.newLead(p.term))
}

// check takes the role away from a leader that has been at the same thing for
// long: a handler that waits and did not say so. It is a net, and no mechanism:
// until then nobody is heard.
func (p *poller) check() {
	if p == nil {
		return
	}
	p.mu.Lock()
	stuck := p.stuck() && p.workers < maxWorkers
	said := p.stays
	if stuck {
		p.depose()
	}
	p.mu.Unlock()
	if stuck && !said {
		p.srv.opt.Log.Error("ws: a handler waits without having called Blocking, and held up all connections")
	}
}

// stuck is asked at each check. Checks are counted, and no time is taken: a
// machine that is too busy to run the handler, or was stopped, had no more of
// them than of anything else. Needs mu.
func (p *poller) stuck() bool {
	if p.looks++; !p.busy || p.claimed != p.last {
		p.looks = 0
	}
	p.last = p.claimed
	return p.looks >= max(2, int(blockedAfter/p.srv.tick))
}

// event handles what the kernel says of a connection. A stale one, meant for the
// slot's earlier connection, does no harm: only what recv says counts.
func (p *poller) event(t *Turn, ev syscall.EpollEvent) {
	c := p.srv.table.get(ev.Fd)
	if c == nil || c.sock != sock(p) { // the slot may be a stream's by now
		return
	}
	if ev.Events&syscall.EPOLLOUT != 0 {
		p.flush(c)
	}
	if ev.Events&^syscall.EPOLLOUT != 0 && c.take(ev.Events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0) {
		if c.rate != nil {
			c.rate.rest(c)
		}
		p.pass(c, t)
	}
}

// take takes the right to read; where somebody has it, that one goes on.
func (c *Conn) take(hup bool) bool {
	for {
		old := c.turn.Load()
		set := old | isRead
		if old&isRead != 0 {
			set |= isAgain
		}
		if hup {
			set |= isHup
		}
		if c.turn.CompareAndSwap(old, set) {
			return old&isRead == 0
		}
	}
}

// give gives it back, unless something came meanwhile.
func (c *Conn) give() bool {
	if c.stage != greeting { // whose time runs from the start, whatever comes
		c.heard.Store(c.srv.now.Load())
	}
	for {
		old := c.turn.Load()
		set := old &^ (isRead | isAgain)
		if old&isAgain != 0 {
			set = old &^ isAgain
		}
		if c.turn.CompareAndSwap(old, set) {
			if old&isAgain != 0 && c.stage != greeting {
				c.heard.Store(0)
			}
			return old&isAgain == 0
		}
	}
}

// pass reads a connection that is ours to read, until there is nothing, or it is
// at a pause, or gone.
func (p *poller) pass(c *Conn, t *Turn) {
	t.c = c
	defer func() { t.c = nil }()
	if c.stage != greeting && c.heard.Load() != 0 {
		c.heard.Store(0)
	}
	for n := 1; ; n++ {
		switch p.step(c, t) {
		case stepDone:
			return
		case stepIdle:
			if c.give() {
				return
			}
		case stepMore:
			if n%passReads == 0 {
				p.postpone(c, t)
				return
			}
		}
	}
}

// postpone goes on with a connection when the others have had their turn.
func (p *poller) postpone(c *Conn, t *Turn) {
	p.mu.Lock()
	mine := t.lead.p != nil && p.term == t.lead.term
	if mine {
		p.more = append(p.more, c)
	}
	p.mu.Unlock()
	if !mine {
		p.takeUp(c)
	}
}

type outcome uint8

const (
	stepMore outcome = iota // there may be more to do
	stepIdle                // nothing, until there is an event
	stepDone                // it is not ours any more
)

// step does one thing for a connection.
func (p *poller) step(c *Conn, t *Turn) outcome {
	if c.stage == live && c.over.Load() {
		c.conclude(nil)
	}
	switch c.stage {
	case live:
		if b := c.unkeep(); len(b) > 0 {
			if !c.consume(t, b) {
				return stepDone
			}
			return stepMore
		}
	case closing:
		if !c.tell(t) {
			return stepDone
		}
		return stepMore
	case lingering, ended:
		if c.isGone() {
			c.stage = ended
		}
		if c.stage == ended {
			if c.emptied() {
				p.shut(c)
			}
			return stepDone
		}
	default:
	}
	n, err := sysRead(uintptr(c.fd), t.buf[:])
	if err == syscall.EAGAIN { //nolint:errorlint // it comes right from the kernel
		return stepIdle
	}
	if err != nil || n == 0 {
		p.ends(c, err)
		return stepMore
	}
	switch c.stage {
	case greeting:
		if head, foreign := c.greet(t, t.buf[:n]); foreign {
			p.handOver(c, head)
			return stepDone
		}
	case live:
		c.srv.count.bytesIn.Add(uint64(n))
		if !c.consume(t, t.buf[:n]) {
			return stepDone
		}
	default:
	}
	if n < len(t.buf) && c.turn.Load()&isHup == 0 && (c.part == nil || c.part.kept == nil || c.stage == greeting) {
		return stepIdle
	}
	return stepMore
}

// ends notes that nothing comes any more.
func (p *poller) ends(c *Conn, err error) {
	switch c.stage {
	case greeting:
		c.mute()
	case live:
		c.conclude(err)
	default:
		c.stage = ended
	}
}

func (c *Conn) isGone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flags&isDead != 0
}

// shut closes the descriptor. The table forgets the connection before, since
// the next one may have the same number at once.
func (p *poller) shut(c *Conn) {
	c.srv.leave(c)
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(c.detach()), 0, 0) // it does not linger, so it does not wait
	c.srv.gone()
}

// detach takes the descriptor away from everybody else.
func (c *Conn) detach() (fd int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flags |= isDead
	fd, c.fd = c.fd, -1
	return fd
}

// flush sends what waits, as far as the socket takes it; behind its share it asks
// for another event.
func (p *poller) flush(c *Conn) {
	buf := joined.Get().(*[joinUpTo]byte)
	defer joined.Put(buf)
	for range passReads {
		c.mu.Lock()
		b := c.back
		if b == nil || c.fd < 0 || c.flags&isDead != 0 || c.flags&isArmed == 0 {
			c.mu.Unlock()
			return
		}
		some := b.next(joinUpTo, buf[:0])
		n, err := sysWrite(uintptr(c.fd), some)
		if err == syscall.EAGAIN { //nolint:errorlint // it comes right from the kernel
			c.mu.Unlock()
			return
		}
		c.progress(n)
		c.mu.Unlock()
		if c.advanced(err) || n < len(some) { // from a write that falls short on, the kernel owes an event
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.arm(c)
}

// arm asks for an event when there is room; where there is already, it comes at
// once. Needs mu.
func (p *poller) arm(c *Conn) {
	if c.fd >= 0 {
		_ = p.control(syscall.EPOLL_CTL_MOD, int(c.fd), c.slot, readEvents|syscall.EPOLLOUT)
	}
}

// What follows is the poller as a sock.

func (p *poller) try(c *Conn, b []byte) (int, error) {
	if c.flags&isDead != 0 || c.fd < 0 {
		return 0, nil
	}
	n, err := sysWrite(uintptr(c.fd), b)
	if err == syscall.EAGAIN { //nolint:errorlint // it comes right from the kernel
		return 0, nil
	}
	return n, err
}

// drain asks for an event when there is room: once, since with edges it costs
// nothing from then on.
func (p *poller) drain(c *Conn) {
	if c.flags&(isArmed|isDead) == 0 {
		c.flags |= isArmed
		p.arm(c)
	}
}

func (p *poller) joins() bool { return true }

func (p *poller) halfClose(c *Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd >= 0 {
		_ = syscall.Shutdown(int(c.fd), syscall.SHUT_WR)
	}
}

func (p *poller) wake(c *Conn) {
	if c.take(false) {
		p.takeUp(c)
	}
}

func (p *poller) cut(c *Conn) {
	if c.fd >= 0 {
		_ = syscall.Shutdown(int(c.fd), syscall.SHUT_RDWR)
	}
	p.wake(c)
}

// wait leaves the connection where it is, unless h is done now.
func (p *poller) wait(c *Conn, h *hold) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.done() {
		return true
	}
	c.held = h
	if h.most > 0 {
		h.timer = time.AfterFunc(h.most, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.held == h {
				c.held = nil
				p.takeUp(c)
			}
		})
	}
	return false
}

func (p *poller) resume(c *Conn, h *hold) {
	if h.timer != nil {
		h.timer.Stop()
	}
	p.takeUp(c)
}

func (p *poller) run(c *Conn) { p.takeUp(c) }

func (p *poller) control(op, fd int, slot int32, events uint32) syscall.Errno {
	if p.closed.Load() {
		return syscall.EBADF
	}
	ev := syscall.EpollEvent{Events: events, Fd: slot}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(p.epfd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0) //nolint:gosec // the conversion stands in the call, as unsafe wants it
	return errno
}
