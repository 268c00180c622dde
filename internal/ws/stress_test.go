package ws

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// stress is what the connections of TestStress have in common.
type stress struct {
	t                    *testing.T
	opened, ended, wrong atomic.Int64

	// guarded by mu
	mu   sync.Mutex
	live map[*Conn]bool
}

func (x *stress) everybody() []*Conn {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := make([]*Conn, 0, len(x.live))
	for c := range x.live {
		all = append(all, c)
	}
	return all
}

func (x *stress) accept(_ *Request, c *Conn) (Handler, *Limits, *Refusal) {
	var over atomic.Bool
	open := func(where string) {
		if over.Load() {
			x.wrong.Add(1)
			x.t.Errorf("%s after OnClose", where)
		}
	}
	x.mu.Lock()
	x.live[c] = true
	x.mu.Unlock()
	x.opened.Add(1)
	lim := &Limits{MaxMessage: 1 << 20, Queue: 32 << 10, Pending: 2}
	if rand.IntN(4) == 0 {
		lim.Burst, lim.Rate = 3, 2000
	}
	return &funcs{
		message: func(tn *Turn, c *Conn, k Kind, p []byte) {
			open("OnMessage")
			switch rand.IntN(8) {
			case 0:
				c.Acquire()
				go func() { time.Sleep(time.Millisecond); c.Release() }()
			case 1:
				tn.Blocking()
				time.Sleep(time.Millisecond)
			}
			tn.Reply(k, p)
		},
		drain: func(*Conn) { open("OnDrain") },
		ping:  func(_ *Conn, dst []byte) []byte { open("Ping"); return append(dst, "p"...) },
		pong:  func(*Conn, []byte) { open("OnPong") },
		closed: func(c *Conn, _ uint16, _ string) {
			open("OnClose")
			over.Store(true)
			x.mu.Lock()
			delete(x.live, c)
			x.mu.Unlock()
			x.ended.Add(1)
		},
	}, lim, nil
}

// hub sends to everybody until stop, and throws some out.
func (x *stress) hub(frame []byte, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(2 * time.Millisecond):
		}
		for _, c := range x.everybody() {
			c.Send(frame, frame)
			_ = c.Queued()
			switch rand.IntN(100) {
			case 0:
				c.Close(4009, "replaced")
			case 1:
				c.mu.Lock()
				c.kill()
				c.mu.Unlock()
			}
		}
	}
}

// Everything at once, from everywhere: nobody hears what was not meant for it,
// each connection ends once, and nothing is left.
func TestStress(t *testing.T) {
	for _, reader := range []Reader{Epoll, Goroutine} {
		t.Run(string(reader), func(t *testing.T) { runStress(t, reader) })
	}
}

func runStress(t *testing.T, reader Reader) {
	t.Helper()
	x := &stress{t: t, live: map[*Conn]bool{}}
	s := newSite(t, Options{Reader: reader, PingEvery: 20 * time.Millisecond, WriteStall: 200 * time.Millisecond, CloseTimeout: 100 * time.Millisecond}, x.accept)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	shared := AppendBinary(nil, pattern(500))
	for range 2 {
		wg.Go(func() { x.hub(shared, stop) })
	}
	for i := range 16 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := stressOne(s, fmt.Sprintf("client %d, %d: ", i, n)); err != nil {
					x.wrong.Add(1)
					t.Error(err)
				}
			}
		})
	}
	time.Sleep(1500 * time.Millisecond)
	close(stop)
	wg.Wait()
	eventually(t, "all gone", func() bool { return s.Stats().Open == 0 })
	if x.opened.Load() != x.ended.Load() || x.opened.Load() == 0 || x.wrong.Load() != 0 {
		t.Errorf("%d opened, %d ended, %d wrong", x.opened.Load(), x.ended.Load(), x.wrong.Load())
	}
	if !bytes.Equal(shared, AppendBinary(nil, pattern(500))) {
		t.Error("shared bytes were changed")
	}
	st := s.Stats()
	t.Logf("%d connections, %d messages in, closes %v, drops %d, stalls %d", x.opened.Load(), st.MessagesIn, st.Closes, st.Drops, st.Stalls)
}

// stressOne is a client's life: an error is an answer that was not its own. That
// it is thrown out at any time is none.
func stressOne(s *site, name string) error {
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil // the machine is out of something
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(generous))
	p := &peer{tb: s.tb, Conn: nc, br: newReader(nc)}
	if _, err := nc.Write([]byte(opening)); err != nil {
		return nil // thrown out
	}
	for {
		line, err := p.br.ReadString('\n')
		if err != nil {
			return nil // thrown out
		}
		if line == "\r\n" {
			break
		}
	}
	for i := range 1 + rand.IntN(8) {
		if on, err := p.stressAsk(fmt.Sprintf("%s%d ", name, i)); !on {
			return err
		}
	}
	switch rand.IntN(4) {
	case 0:
		_ = nc.(*net.TCPConn).SetLinger(0)
	case 1:
		_, _ = nc.Write(clientFrame(fin|opClose, []byte{3, 232}))
		for {
			if _, _, err := p.next(); err != nil {
				break
			}
		}
	case 2:
		_ = nc.(*net.TCPConn).CloseWrite()
	}
	return nil
}

// stressAsk sends some messages at once, in pieces, and wants their answers in
// order; wrong is one that is not, and not on is the end.
func (p *peer) stressAsk(name string) (on bool, wrong error) {
	var b []byte
	var asked [][]byte
	for i := range 1 + rand.IntN(4) {
		m := fmt.Appendf(nil, "%s%d %s", name, i, pattern(rand.IntN(30_000)>>rand.IntN(10)))
		asked = append(asked, m)
		if rand.IntN(2) == 0 {
			b = append(b, clientFrame(fin|opText, m)...)
		} else {
			b = append(b, clientFrame(opText, m[:5])...)
			b = append(b, clientFrame(fin|opPing, m[:5])...)
			b = append(b, clientFrame(fin, m[5:])...)
		}
	}
	cut := rand.IntN(len(b))
	_, err1 := p.Write(b[:cut])
	_, err2 := p.Write(b[cut:])
	on = err1 == nil && err2 == nil
	for on && len(asked) > 0 {
		f, got, err := p.next()
		switch {
		case err != nil || f == fin|opClose:
			on = false // thrown out
		case f == fin|opText && !bytes.Equal(got, asked[0]):
			return false, fmt.Errorf("%.60q was answered by %.60q", asked[0], got)
		case f == fin|opText:
			asked = asked[1:]
		case f == fin|opBinary && !bytes.Equal(got, pattern(500)):
			return false, fmt.Errorf("broadcast %.60q", got)
		case f == fin|opPing:
			_, err := p.Write(clientFrame(fin|opPong, got))
			on = err == nil
		}
	}
	return on, nil
}
