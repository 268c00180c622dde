package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Values are the numbers that came out of a run, by name.
type Values map[string]float64

// loadCommand is the load tool, pointed at a server.
func (b *bench) loadCommand(ctx context.Context, s *server, args []string) (*exec.Cmd, *strings.Builder) {
	cmd := exec.CommandContext(ctx, b.bin("load"),
		append([]string{
			"--port", strconv.Itoa(s.port), "--pid", strconv.Itoa(s.cmd.Process.Pid), "--cores", fmt.Sprintf("%d,%d", b.serverCore, b.loadCore),
		}, args...)...)
	errs := &strings.Builder{}
	cmd.Stderr = errs
	return cmd, errs
}

// load puts a server under load, on the load's core.
func (b *bench) load(ctx context.Context, s *server, args ...string) (Values, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cmd, errs := b.loadCommand(ctx, s, args)
	var out bytes.Buffer
	cmd.Stdout = &out
	err := startOn(b.loadCore, cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return nil, fmt.Errorf("load: %w %s%s", err, errs, s.log)
	}
	return parseValues(out.Bytes())
}

// hold is load for what keeps its connections until it is told to end: look is
// called while they are there, and adds what it sees.
func (b *bench) hold(ctx context.Context, s *server, look func(Values) error, args ...string) (Values, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cmd, errs := b.loadCommand(ctx, s, args)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := startOn(b.loadCore, cmd); err != nil {
		return nil, err
	}
	line, _ := bufio.NewReader(out).ReadBytes('\n')
	values, err := parseValues(line)
	if err == nil {
		err = look(values)
	}
	_ = in.Close()
	if end := cmd.Wait(); end != nil {
		err = errors.Join(err, fmt.Errorf("load: %w %s%s", end, errs, s.log))
	}
	return values, err
}

func parseValues(line []byte) (Values, error) {
	var v Values
	if err := json.Unmarshal(line, &v); err != nil {
		return nil, fmt.Errorf("load printed %q: %w", line, err)
	}
	return v, nil
}
