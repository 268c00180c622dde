package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func (b *bench) bin(name string) string { return filepath.Join(b.root, "bench", "bin", name) }

// build builds everything that is run.
func (b *bench) build(ctx context.Context) error {
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "gcc"
	}
	if _, err := exec.LookPath(cc); err != nil {
		return fmt.Errorf("the floor and the load are C, and there is no %s: apt-get install -y gcc libc6-dev", cc)
	}
	if err := os.MkdirAll("bin", 0o755); err != nil {
		return err
	}
	sources, err := filepath.Glob("load/*.c")
	if err != nil {
		return err
	}
	release := []string{"build", "-trimpath", "-ldflags", "-s -w"}
	steps := []struct {
		dir     string
		command []string
	}{
		{".", []string{cc, "-O2", "-Wall", "-Wextra", "-o", b.bin("floor"), "floor/floor.c"}},
		{".", append([]string{cc, "-O2", "-Wall", "-Wextra", "-o", b.bin("load")}, sources...)},
		{".", slices.Concat([]string{"go"}, release, []string{"-o", b.bin(""), "./servers/..."})},
		{b.root, slices.Concat([]string{"go"}, release, []string{"-o", b.bin(""), "./cmd/kabar", "./cmd/wsecho"})},
	}
	for _, s := range steps {
		cmd := exec.CommandContext(ctx, s.command[0], s.command[1:]...)
		cmd.Dir, cmd.Env = s.dir, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(s.command[:2], " "), err, out)
		}
	}
	help, _ := exec.CommandContext(ctx, b.bin("wsecho"), "-h").CombinedOutput()
	b.readerFlag = strings.Contains(string(help), "-reader")
	b.say("built")
	return nil
}

// describe says what is measured, and where.
func (b *bench) describe(ctx context.Context) *Report {
	said := func(name string, args ...string) string {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = b.root
		out, _ := cmd.Output()
		return strings.TrimSpace(string(out))
	}
	r := &Report{
		Date: b.begun.UTC().Format(time.RFC3339), Commit: said("git", "rev-parse", "--short", "HEAD"),
		Quick: b.quick, Rounds: b.rounds,
		Machine: Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Compiler: firstLine(said("gcc", "--version")), CPU: cpuModel()},
	}
	if r.Commit == "" {
		r.Commit = "unknown"
	}
	// What the benchmark itself leaves lying about changes nothing.
	r.Changed = said("git", "status", "--porcelain", "--untracked-files=no") != ""
	var u syscall.Utsname
	if syscall.Uname(&u) == nil {
		for _, c := range u.Release {
			if c == 0 {
				break
			}
			r.Machine.Kernel += string(rune(c))
		}
	}
	return r
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, model, _ := strings.Cut(s.Text(), ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return ""
}

// measureDisk times how long the disk takes to make a page durable: the file is
// there already, as a database's log is.
func (b *bench) measureDisk() error {
	f, err := os.Create(filepath.Join(b.tmp, "disk"))
	if err != nil {
		return err
	}
	defer f.Close()
	page := make([]byte, 4096)
	if _, err := f.WriteAt(make([]byte, 1<<20), 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	took := make([]float64, 400)
	for i := range took {
		page[0]++
		begun := time.Now()
		_, err := f.WriteAt(page, int64(i%256)*4096)
		if err := errors.Join(err, syscall.Fdatasync(int(f.Fd()))); err != nil {
			return err
		}
		took[i] = float64(time.Since(begun).Nanoseconds()) / 1e3
		time.Sleep(time.Millisecond) // calm
	}
	slices.Sort(took)
	b.report.Disk = Values{"p50_us": took[len(took)/2], "p99_us": took[len(took)*99/100]}
	b.say("fdatasync of this disk: p50 %.0f µs, p99 %.0f µs", b.report.Disk["p50_us"], b.report.Disk["p99_us"])
	return nil
}
