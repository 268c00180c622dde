package checker

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestClockSteps: the clock of a program that is built for it steps, while it
// runs, and what time.Since counts does not. The program is a small one: all
// that the server is made of takes minutes to build anew.
func TestClockSteps(t *testing.T) {
	folder := t.TempDir()
	program := filepath.Join(folder, "main.go")
	err := os.WriteFile(program, []byte(`package main

import (
	"bufio"
	"os"
	"strconv"
	"time"
)

func main() {
	began := time.Now()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		now := time.Now()
		os.Stdout.WriteString(strconv.FormatInt(now.Unix(), 10) + " " + strconv.FormatInt(int64(now.Sub(began)/time.Second), 10) + "\n")
	}
}
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	file, err := overlay(t.Context(), folder, Clock)
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(folder, "clock-program")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", file, "-o", binary, program).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c, err := newClock(folder)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Env = append(os.Environ(), clockFile+"="+c.path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for _, step := range []time.Duration{0, 48 * time.Hour, -49 * time.Hour} {
		if err := c.step(step); err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write([]byte("\n")); err != nil {
			t.Fatal(err)
		}
		line, err := lines.ReadString('\n')
		var now, ran int64
		if _, serr := fmt.Sscan(line, &now, &ran); err != nil || serr != nil {
			t.Fatal(line, err, serr)
		}
		if said := time.Unix(now, 0); !c.said(said) || said.Sub(time.Now().Add(c.off())).Abs() > time.Minute || ran > 600 || ran < 0 {
			t.Errorf("%v off, it says %v, after %d s", c.off(), said, ran)
		}
	}
	if c.said(time.Now().Add(24 * time.Hour)) {
		t.Error("a clock said what it never was set to")
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestEdits: an edit of what is not there is refused.
func TestEdits(t *testing.T) {
	for want, e := range map[string]Edit{
		"0 times": {File: "go.mod", Old: "no such words"},
		"no such": {File: "no/such.go", Old: "x"},
	} {
		if _, err := BuildEdited(t.Context(), t.TempDir(), []Edit{e}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}
