// Package e2e tests Kabar from outside: the real program, started as a person
// starts it, talked to by what others wrote. The snippets of the published
// documents are in testdata/snippets, word for word, and run in Node and in
// Chromium; npm's ws and wscat, and curl, say the rest. Nothing here imports
// the server.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// kabar is the program under test, built once.
var kabar string

// patience bounds every wait. Nothing takes so long where things work, however
// slow the machine; where they do not, a test says what it was waiting for.
const patience = time.Minute

// marker names this run in the environment of everything it starts, so that
// what is left over can be found.
var marker = "E2E_RUN=" + strconv.Itoa(os.Getpid()) + "." + strconv.FormatInt(time.Now().UnixNano(), 36)

func TestMain(m *testing.M) { os.Exit(run(m)) } //nolint:forbidigo // this is where a test program ends

func run(m *testing.M) int {
	// Everybody may go in: a test runs the program as somebody else.
	folder, err := os.MkdirTemp("", "kabar-e2e-")
	if err == nil {
		err = os.Chmod(folder, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	kabar = filepath.Join(folder, "kabar")
	args := []string{"build", "-o", kabar}
	if raceDetector {
		args = append(args, "-race")
	}
	if out, err := exec.CommandContext(context.Background(), "go", append(args, "../cmd/kabar")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building kabar: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	caller.CloseIdleConnections()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			code = 1
		}
	}
	if left := leftOver(); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "e2e: these processes were left behind, and are ended now:\n%s\n", strings.Join(left, "\n"))
		code = 1
	}
	return code
}

// leftOver finds the processes that carry this run's marker, and ends them.
func leftOver() []string {
	var left []string
	files, _ := filepath.Glob("/proc/[0-9]*/environ") // a system without /proc has nothing to say
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(environ, []byte(marker)) {
			continue
		}
		folder := filepath.Dir(file)
		pid, _ := strconv.Atoi(filepath.Base(folder))
		line, _ := os.ReadFile(filepath.Join(folder, "cmdline"))
		if pid == os.Getpid() || len(line) == 0 {
			continue
		}
		left = append(left, fmt.Sprintf("%d %s", pid, bytes.ReplaceAll(line, []byte{0}, []byte(" "))))
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return left
}

// tool finds a program that the tests need; without it they fail, and say what
// to do.
func tool(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed: run `make deps` in the project's folder, which installs it or says how", names[0])
	return ""
}

// npm finds a file of an installed npm package.
func npm(t *testing.T, path ...string) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(append([]string{"node_modules"}, path...)...))
	if err == nil {
		_, err = os.Stat(file)
	}
	if err != nil {
		t.Fatalf("the npm packages are not installed (%v): run `make deps` in the project's folder", err)
	}
	return file
}

// eventually waits until f says nothing more is wrong.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: after %v still: %v", what, patience, err)
		}
		time.Sleep(20 * time.Millisecond) // how often to look, not how long to wait
	}
}
