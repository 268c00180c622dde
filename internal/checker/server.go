package checker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The longest that a server may take.
const (
	readyTime = 30 * time.Second
	stopTime  = 20 * time.Second
)

// server is the process under test. It is driven by one goroutine.
type server struct {
	// static
	o       *Options
	folder  string
	address string
	key     string
	log     *os.File
	client  *http.Client
	limits  []string // flags
	clock   *clock
	rig     *rig // its disk, nil for a folder

	stills stills

	cmd     *exec.Cmd
	exited  chan struct{} // closed when cmd has ended
	state   error         // how, once it has
	starts  atomic.Int64
	slowest time.Duration
}

func newServer(ctx context.Context, o *Options, folder string) (*server, error) {
	log, err := os.Create(filepath.Join(folder, "server.log"))
	if err != nil {
		return nil, err
	}
	// The port is free now and is asked for again and again: as a real server's.
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	c, err := newClock(folder)
	if err != nil {
		return nil, errors.Join(err, log.Close(), l.Close())
	}
	s := &server{
		clock: c,
		o:     o, folder: folder, log: log, address: l.Addr().String(), key: "checker-checker-checker-checker-1", limits: []string{"--limits=off"},
		client: &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	if o.needsRig() {
		if s.rig, err = newRig(folder); err != nil {
			return nil, errors.Join(err, log.Close(), l.Close())
		}
	}
	return s, l.Close()
}

// stills is how long a server was stopped in all, with SIGSTOP.
type stills struct {
	times atomic.Int64 // how often

	mu    sync.Mutex
	past  time.Duration // guarded by mu
	since time.Time     // guarded by mu; zero while it runs
}

// freeze notes that the server is stopped, or goes on.
func (s *server) freeze(on bool) {
	t := &s.stills
	t.mu.Lock()
	defer t.mu.Unlock()
	if on {
		t.since = time.Now()
		return
	}
	t.times.Add(1)
	t.past, t.since = t.past+time.Since(t.since), time.Time{}
}

// now is the time as far as the server lived through it.
func (s *server) now() time.Time {
	t := &s.stills
	t.mu.Lock()
	defer t.mu.Unlock()
	past := t.past
	if !t.since.IsZero() {
		past += time.Since(t.since)
	}
	return time.Now().Add(-past)
}

// data is the server's folder.
func (s *server) data() string {
	if s.rig != nil {
		return filepath.Join(s.rig.mount, "data")
	}
	return filepath.Join(s.folder, "data")
}

// signal sends it a signal, if it is there.
func (s *server) signal(sig syscall.Signal) error {
	if s.dead() {
		return s.died("before it got a signal")
	}
	return s.cmd.Process.Signal(sig)
}

func (s *server) url(path string) string { return "http://" + s.address + path }

// start runs the binary; it does not wait for it to be ready.
func (s *server) start() error {
	args := append([]string{
		"serve", "--data", s.data(), "--listen", s.address, "--admin-key", s.key,
		"--feed-publish=anyone", "--feed-history=1000000", "--session-queue=16KiB", "--keepalive-ping=" + pingEvery.String(),
		"--outbound-allow=127.0.0.0/8",                 // where hooks listen
		"--bot-timeout=30s",                            // nothing is to fail by speed
		"--ref-keep=1000h", "--bot-session-idle=1000h", // or by a clock
	}, append(s.limits, s.o.Flags...)...)
	s.cmd = exec.Command(s.o.Binary, args...) //nolint:noctx // it outlives the call; kill and close end it
	s.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "KABAR_") // somebody's own settings
	}), append(s.o.Env, clockFile+"="+s.clock.path)...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.starts.Add(1)
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("the server cannot be started: %w", err)
	}
	cmd, exited := s.cmd, make(chan struct{})
	s.exited = exited
	go func() {
		s.state = cmd.Wait()
		close(exited)
	}()
	return nil
}

// up starts the server and waits until it is ready.
func (s *server) up(ctx context.Context) error {
	began := time.Now()
	if err := s.start(); err != nil {
		return err
	}
	for time.Since(began) < readyTime {
		select {
		case <-s.exited:
			return s.died("on its way up")
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url("/readyz"), nil)
		if err != nil {
			return err
		}
		resp, err := s.client.Do(r)
		if err != nil {
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			s.slowest = max(s.slowest, time.Since(began))
			return nil
		}
	}
	return fmt.Errorf("the server did not become ready within %v; its log ends with:\n%s", readyTime, s.tail())
}

// kill ends the server as kill -9 does.
func (s *server) kill() error {
	if s.dead() {
		return s.died("before it was killed")
	}
	_ = s.cmd.Process.Kill() // it may be gone this very moment
	<-s.exited
	return nil
}

// stop ends the server as an operator does; it must end well and in time.
func (s *server) stop() error {
	if s.dead() {
		return s.died("before it was told to stop")
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.exited:
	case <-time.After(stopTime):
		_ = s.cmd.Process.Kill()
		<-s.exited
		return fmt.Errorf("the server did not stop within %v of SIGTERM; its log ends with:\n%s", stopTime, s.tail())
	}
	if s.state != nil {
		return s.died("on SIGTERM")
	}
	return nil
}

func (s *server) dead() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

func (s *server) died(when string) error {
	how := "exit status 0"
	if s.state != nil {
		how = s.state.Error()
	}
	return fmt.Errorf("the server ended by itself %s (%s); its log ends with:\n%s", when, how, s.tail())
}

// close makes sure that nothing is left.
func (s *server) close() {
	if s.cmd != nil && s.cmd.Process != nil && !s.dead() {
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
	_ = s.log.Close()
	if s.rig != nil {
		_ = s.rig.close()
		s.rig = nil
	}
}

// memory is the server's resident memory, "?" where it cannot be told.
func (s *server) memory() string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return "?"
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			var kb int
			if _, err := fmt.Sscan(rest, &kb); err == nil {
				return fmt.Sprintf("%d MB", kb/1024)
			}
		}
	}
	return "?"
}

// tail is the end of the server's log.
func (s *server) tail() string {
	b, err := os.ReadFile(s.log.Name())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(bytes.TrimSpace(b)), "\n")
	return "    " + strings.Join(lines[max(0, len(lines)-12):], "\n    ")
}
