//go:build linux && (amd64 || arm64)

package ws

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

func TestSizes(t *testing.T) {
	t.Logf("Conn %d bytes, backlog %d, ending %d, partial %d, hold %d, bucket %d", unsafe.Sizeof(Conn{}), unsafe.Sizeof(backlog{}),
		unsafe.Sizeof(ending{}), unsafe.Sizeof(partial{}), unsafe.Sizeof(hold{}), unsafe.Sizeof(bucket{}))
	if n := unsafe.Sizeof(Conn{}); n > 160 {
		t.Errorf("a Conn is %d bytes", n)
	}
}

// heap is what is in use after a collection, objects and stacks.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // the first leaves the pools their victims
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// An idle connection is some bytes and a descriptor: no goroutine, no buffer.
func TestIdle(t *testing.T) {
	const n = 2000
	s := newSite(t, Options{Reader: Epoll, PingEvery: -1, DeadAfter: -1}, with(&funcs{message: echo}, &Limits{Queue: 1 << 20, Burst: 100, Rate: 1000}))
	s.open().talk(0, 3)
	ps := make([]net.Conn, 0, n)
	t.Cleanup(func() {
		for _, nc := range ps {
			_ = nc.Close()
		}
	})
	// The peers are measured by themselves first.
	far := listenOn(t, "tcp", "127.0.0.1:0")
	had := heap()
	for range n / 2 {
		nc, err := net.Dial("tcp", far.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, nc)
	}
	peer := (heap() - had) / (n / 2)
	for _, nc := range ps {
		_ = nc.Close()
	}
	clear(ps)
	ps = ps[:0]
	before, had := runtime.NumGoroutine(), heap()
	hello := append(clientFrame(fin|opText, []byte("x")), clientFrame(opText, nil)...)
	hello = append(hello, clientFrame(fin, []byte("y"))...)
	buf := make([]byte, 1<<10)
	for range n {
		nc, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, nc)
		_ = nc.SetDeadline(time.Now().Add(generous))
		_, _ = nc.Write([]byte(opening))
		for got := ""; !strings.HasSuffix(got, "\r\n\r\n"); {
			k, err := nc.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got += string(buf[:k])
		}
		_, _ = nc.Write(hello)
		if _, err := io.ReadFull(nc, buf[:6]); err != nil || string(buf[:6]) != "\x81\x01x\x81\x01y" {
			t.Fatalf("% x, %v", buf[:6], err)
		}
		_ = nc.SetDeadline(time.Time{})
	}
	eventually(t, "idle", func() bool {
		for _, c := range s.conns() {
			if c.heard.Load() == 0 {
				return false
			}
		}
		return true
	})
	now := runtime.NumGoroutine()
	each := int64(heap()-had)/n - int64(peer)
	t.Logf("%d idle connections: %d goroutines, %d bytes each, and %d for each peer", n, now, each, peer)
	if now > before+10 {
		t.Errorf("%d goroutines, %d before", now, before)
	}
	if each > 1<<10 {
		t.Errorf("%d bytes for each", each)
	}
}

// Headers that claim a gigabyte cost nothing before it comes.
func TestManyClaims(t *testing.T) {
	const n = 200
	s := newSite(t, Options{}, with(&funcs{}, nil))
	s.open()
	had := heap()
	for range n {
		s.open().write([]byte("\x82\xff\x00\x00\x00\x00\x40\x00\x00\x00\x01\x02\x03\x04abc"))
	}
	eventually(t, "all are there", func() bool { return s.Stats().BytesIn == n*17 })
	if each := int64(heap()-had) / n; each > 64<<10 { // most of it the peer's, and its reader's
		t.Errorf("%d bytes for each", each)
	}
}

const starvedEnv = "WS_TEST_STARVED"

// starved is the server of TestStarved, in a process of its own that has few
// descriptors. Each line that comes is answered with how often the poller woke up.
func starved(t *testing.T) {
	t.Helper()
	s := New(Options{Reader: Reader(os.Getenv(starvedEnv)), Log: quietLog})
	ln := listenOn(t, "tcp", "127.0.0.1:0")
	listened := make(chan error, 1)
	go func() { listened <- s.Listen(ln, with(&funcs{message: echo}, nil), nil) }()
	p := (&site{Server: s, tb: t, addr: ln.Addr().String()}).open() // whatever is opened once is open
	p.talk(0, 1)
	_ = p.Close()
	eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
	limit := uint64(descriptors(t) + 30)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(os.Stderr, ln.Addr())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		n := uint64(0)
		if p := s.polled(); p != nil {
			p.mu.Lock()
			n = p.claimed
			p.mu.Unlock()
		}
		fmt.Fprintln(os.Stderr, n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), generous)
	defer cancel()
	if err := s.Shutdown(ctx, nil); err != nil {
		t.Error(err)
	}
	if err := receive(t, listened); err != nil {
		t.Error(err)
	}
}

// Without a free descriptor those that are there go on, nothing spins, and the
// others come in as soon as some have gone.
func TestStarved(t *testing.T) {
	if os.Getenv(starvedEnv) != "" {
		starved(t)
		return
	}
	for _, reader := range []Reader{Epoll, Goroutine} {
		t.Run(string(reader), func(t *testing.T) {
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStarved$")
			child.Env = append(os.Environ(), starvedEnv+"="+string(reader))
			in, err1 := child.StdinPipe()
			out, err2 := child.StderrPipe()
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			answers := bufio.NewReader(out)
			line := func() string {
				t.Helper()
				l, err := answers.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				return strings.TrimSpace(l)
			}
			woken := func() int {
				t.Helper()
				_, _ = in.Write([]byte("\n"))
				n, err := strconv.Atoi(line())
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			s := &site{tb: t, addr: line()}
			tryStarved(t, s, woken, child.Process.Pid)
			_ = in.Close()
			rest, _ := io.ReadAll(answers)
			if err := child.Wait(); err != nil {
				t.Errorf("the server: %v: %s", err, rest)
			}
		})
	}
}

// used is the processor time of a process.
func used(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func tryStarved(t *testing.T, s *site, woken func() int, pid int) {
	t.Helper()
	const n = 100
	answered := make(chan *peer, n)
	var served []*peer
	for range n {
		p := s.dial()
		p.write([]byte(opening))
		go func() {
			if rs, err := http.ReadResponse(p.br, nil); err == nil && rs.StatusCode == http.StatusSwitchingProtocols {
				answered <- p
			}
		}()
	}
	for len(served) < 20 {
		served = append(served, receive(t, answered))
	}
	time.Sleep(300 * time.Millisecond)
	for len(answered) > 0 {
		served = append(served, <-answered)
	}
	if len(served) == n {
		t.Fatal("there were descriptors for all")
	}
	rounds, cpu := woken(), used(t, pid)
	time.Sleep(time.Second)
	rounds, cpu = woken()-rounds, used(t, pid)-cpu
	t.Logf("%d of %d are served; %d rounds and %v of the processor in a second without descriptors", len(served), n, rounds, cpu)
	if rounds > 100 || cpu > 300*time.Millisecond {
		t.Error("it spins")
	}
	all := len(served)
	for all < n {
		for _, p := range served {
			p.talk(0, 2)
		}
		for _, p := range served {
			_ = p.Close()
		}
		served = served[:0]
		for len(served) == 0 || len(answered) > 0 {
			served = append(served, receive(t, answered))
			all++
		}
	}
	for _, p := range served {
		p.talk(0, 2)
		_ = p.Close()
	}
}

var churnFor = flag.Duration("churn", time.Second, "how long TestChurn goes on")

// Connections come and go as fast as they can, in each way; afterwards all is as
// it was.
func TestChurn(t *testing.T) {
	for _, reader := range []Reader{Epoll, Goroutine} {
		t.Run(string(reader), func(t *testing.T) {
			s := newSite(t, Options{Reader: reader, Silent: 1 << 20}, with(&funcs{message: echo}, &Limits{Queue: 1 << 20, Burst: 1000, Rate: 1000}))
			var done atomic.Int64
			churn := func(stop <-chan struct{}) {
				var wg sync.WaitGroup
				for range 8 {
					wg.Go(func() {
						for {
							select {
							case <-stop:
								return
							default:
							}
							if churnOne(t, s) {
								done.Add(1)
							}
						}
					})
				}
				wg.Wait()
				eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
			}
			warm := make(chan struct{})
			time.AfterFunc(200*time.Millisecond, func() { close(warm) })
			churn(warm)
			done.Store(0)
			files, routines, had := descriptors(t), runtime.NumGoroutine(), heap()
			stop := make(chan struct{})
			time.AfterFunc(*churnFor, func() { close(stop) })
			churn(stop)
			eventually(t, "descriptors are given back", func() bool { return descriptors(t) <= files })
			eventually(t, "goroutines have gone", func() bool { return runtime.NumGoroutine() <= routines })
			now := heap()
			t.Logf("%d connections; %d descriptors, %d goroutines; heap %d kB, was %d kB; %d slots", done.Load(), descriptors(t), runtime.NumGoroutine(), now>>10, had>>10, s.slots)
			if done.Load() == 0 {
				t.Error("none came through")
			}
			if now > had+4<<20 {
				t.Errorf("heap %d, was %d", now, had)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.silent) != 0 || len(s.free) != int(s.slots) {
				t.Errorf("%d silent, %d of %d slots free", len(s.silent), len(s.free), s.slots)
			}
		})
	}
}

// churnOne is one of them; false where the machine had no port for it.
func churnOne(t *testing.T, s *site) bool {
	t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		return false
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(generous))
	how := rand.IntN(8)
	if how < 6 { // most leave no TIME_WAIT behind
		_ = nc.(*net.TCPConn).SetLinger(0)
	}
	if how == 0 {
		_, _ = nc.Write([]byte(opening[:rand.IntN(len(opening))]))
		return true
	}
	p := &peer{tb: t, Conn: nc, br: newReader(nc)}
	frame := clientFrame(fin|opText, []byte("hello"))
	_, _ = nc.Write(append([]byte(opening), frame...))
	rs, err := http.ReadResponse(p.br, nil)
	if err != nil || rs.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("%v %v", rs, err)
		return false
	}
	if f, b, err := p.next(); err != nil || f != fin|opText || string(b) != "hello" {
		t.Errorf("%x %q %v", f, b, err)
		return false
	}
	if how == 6 {
		_, _ = nc.Write(clientFrame(fin|opClose, []byte{3, 232}))
		if f, _, err := p.next(); err != nil || f != fin|opClose {
			t.Errorf("%x %v", f, err)
		}
	}
	return true
}
