package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// record keeps what a process writes.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// process is a program that runs beside the tests, in a process group of its
// own that ends with the test.
type process struct {
	cmd      *exec.Cmd
	out, err record
	ended    chan struct{}
	code     int // after ended; -1 where a signal ended it
}

// how changes a command before it starts.
type how func(*exec.Cmd)

func in(folder string) how       { return func(c *exec.Cmd) { c.Dir = folder } }
func with(environ ...string) how { return func(c *exec.Cmd) { c.Env = append(c.Env, environ...) } }
func asUser(id uint32) how {
	return func(c *exec.Cmd) { c.SysProcAttr.Credential = &syscall.Credential{Uid: id, Gid: id} }
}
func command(line ...string) []string { return line }

// start starts a program.
func start(t *testing.T, line []string, hows ...how) *process {
	t.Helper()
	p := &process{cmd: exec.Command(line[0], line[1:]...), ended: make(chan struct{})}
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "KABAR_") {
			p.cmd.Env = append(p.cmd.Env, variable)
		}
	}
	p.cmd.Env = append(p.cmd.Env, marker)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = 10 * time.Second
	for _, h := range hows {
		h(p.cmd)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", line[0], err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // its code says all
		p.code = p.cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.ended
		if t.Failed() {
			t.Logf("%s wrote:\n%s%s", filepath.Base(line[0]), clip(p.out.String()), clip(p.err.String()))
		}
	})
	return p
}

// clip keeps the end of a long text.
func clip(text string) string {
	const most = 8 << 10
	if len(text) > most {
		return "…" + text[len(text)-most:]
	}
	return text
}

// signal goes to the whole group.
func (p *process) signal(s syscall.Signal) {
	if err := syscall.Kill(-p.cmd.Process.Pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		panic(err) // our own children always take signals
	}
}

// wait waits for the end and gives the exit code.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("%v has not ended after %v; it wrote:\n%s%s", p.cmd.Args, patience, clip(p.out.String()), clip(p.err.String()))
	}
	return p.code
}

// sees waits until one of the process's outputs matches, and gives the match.
func (p *process) sees(t *testing.T, r *record, expression string) []string {
	t.Helper()
	re := regexp.MustCompile(expression)
	var found []string
	p.await(t, expression, func() bool {
		found = re.FindStringSubmatch(r.String())
		return found != nil
	})
	return found
}

func (p *process) await(t *testing.T, what string, written func() bool) {
	t.Helper()
	name := filepath.Base(p.cmd.Path)
	eventually(t, fmt.Sprintf("%s should write %q", name, what), func() error {
		ended := p.hasEnded() // asked first: what it wrote last is seen
		if written() {
			return nil
		}
		if ended {
			t.Fatalf("%s has ended with %d, without writing %q:\n%s%s", name, p.code, what, clip(p.out.String()), clip(p.err.String()))
		}
		return errors.New("it wrote:\n" + clip(p.out.String()) + clip(p.err.String()))
	})
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// says waits for a text in what the process prints; it may be bytes that are
// no text.
func (p *process) says(t *testing.T, text string) {
	t.Helper()
	p.await(t, text, func() bool { return strings.Contains(p.out.String(), text) })
}

// output runs a program to its end and gives what it printed.
func output(t *testing.T, line []string, hows ...how) (out, stderr string, code int) {
	t.Helper()
	p := start(t, line, hows...)
	code = p.wait(t)
	return p.out.String(), p.err.String(), code
}

// lines is the input of a process, a line at a time.
type lines struct {
	r *os.File
	w *os.File
}

func newLines(t *testing.T) *lines {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return &lines{r, w}
}

func (l *lines) feed(c *exec.Cmd) { c.Stdin = l.r }

func (l *lines) write(t *testing.T, text string) {
	t.Helper()
	if _, err := l.w.WriteString(text + "\n"); err != nil {
		t.Fatal(err)
	}
}
