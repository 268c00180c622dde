package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// startOn starts a command whose threads all run on one core; below zero, where
// they like.
func startOn(core int, cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if core < 0 {
		return cmd.Start()
	}
	// A child inherits the processors of the thread that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one [1024 / 64]uint64
	one[core/64] = 1 << (core % 64)
	if err := affinity(syscall.SYS_SCHED_GETAFFINITY, &before); err != nil {
		return err
	}
	if err := affinity(syscall.SYS_SCHED_SETAFFINITY, &one); err != nil {
		return fmt.Errorf("core %d: %w", core, err)
	}
	defer func() { _ = affinity(syscall.SYS_SCHED_SETAFFINITY, &before) }()
	return cmd.Start()
}

func affinity(call uintptr, mask *[1024 / 64]uint64) error {
	if _, _, err := syscall.RawSyscall(call, 0, unsafe.Sizeof(*mask), uintptr(unsafe.Pointer(mask))); err != 0 {
		return err
	}
	return nil
}

// server is a server under test.
type server struct {
	cmd  *exec.Cmd
	port int
	log  *strings.Builder
}

// candidate says how a server is started, and where its WebSockets are.
type candidate struct {
	command func(b *bench, port int, dir string) []string
	path    string
}

// plainly starts a program that only needs to know where to listen.
func plainly(program string, args ...string) candidate {
	return candidate{command: func(b *bench, port int, _ string) []string {
		return append([]string{b.bin(program), "-listen", "127.0.0.1:" + strconv.Itoa(port)}, args...)
	}, path: "/"}
}

func floor(args ...string) candidate {
	return candidate{command: func(b *bench, port int, _ string) []string {
		return append([]string{b.bin("floor"), "-p", strconv.Itoa(port)}, args...)
	}, path: "/"}
}

// product starts the whole server. With limits off nothing keeps one machine
// from being all of its clients.
func product(args ...string) candidate {
	return candidate{command: func(b *bench, port int, dir string) []string {
		return append([]string{
			b.bin("kabar"), "serve", "--listen=127.0.0.1:" + strconv.Itoa(port), "--data=" + dir, "--admin-key=" + adminKey,
			"--feed-publish=anyone", "--feed-history=1000000", "--feed-frame=128KiB", "--session-pending=1024",
			"--direct-code-ttl=1h", "--metrics-public", "--log-level=warn",
		}, args...)
	}, path: "/websocket"}
}

const adminKey = "an-administrator-of-benchmarks-only"

var candidates = map[string]candidate{
	"floor":            floor(),
	"floor-joined":     floor("-j"),
	"kabar":            product("--limits=off"),
	"kabar-stall-5s":   product("--limits=off", "--session-stall=5s"),
	"kabar-admits":     product("--limit-connections=0"), // so many a second, as configured by default
	"wsecho":           plainly("wsecho"),
	"wsecho-goroutine": plainly("wsecho", "-reader", "goroutine"),
	"gorilla":          plainly("gorilla"),
	"gws":              plainly("gws"),
	"coder":            plainly("coder"),
	"gobwas":           plainly("gobwas"),
}

// setup is how a candidate is started, beside what it needs anyway.
type setup struct {
	dir  string // where it keeps its data
	free bool   // on whatever core
	args []string
	env  []string
}

// start starts a candidate on the server's core, and waits until it answers.
func (b *bench) start(ctx context.Context, who string, with setup) (*server, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{port: ln.Addr().(*net.TCPAddr).Port, log: &strings.Builder{}}
	_ = ln.Close()
	command := append(candidates[who].command(b, s.port, with.dir), with.args...)
	s.cmd = exec.CommandContext(ctx, command[0], command[1:]...)
	s.cmd.Stderr, s.cmd.Env = s.log, append(os.Environ(), with.env...)
	core := b.serverCore
	if with.free {
		core = -1
	}
	if err := startOn(core, s.cmd); err != nil {
		return nil, err
	}
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", s.address())
		if err == nil {
			_ = c.Close()
			return s, nil
		}
		if time.Since(begun) > 20*time.Second || ctx.Err() != nil {
			s.stop()
			return nil, fmt.Errorf("%s does not answer: %w\n%s", who, err, s.log)
		}
	}
}

func (s *server) address() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// stop ends the server at once: what it leaves is thrown away.
func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// finish lets the server end by itself.
func (s *server) finish() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("%w\n%s", err, s.log)
	}
	return nil
}

// metrics are the product's, by name with labels.
func (s *server) metrics(ctx context.Context) (Values, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address()+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	req.Close = true // no connection of ours stays among those that are counted
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("/metrics: %w", err)
	}
	values := Values{}
	for line := range strings.Lines(string(body)) {
		name, number, found := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseFloat(number, 64); found && err == nil {
			values[name] = n
		}
	}
	return values, nil
}

// fresh is an empty folder for a server's data, on the disk of the project.
func (b *bench) fresh() (string, error) { return os.MkdirTemp(b.tmp, "data-") }
