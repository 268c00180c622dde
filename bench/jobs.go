package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A job is one measurement, which some candidates are put through in turn.
type job struct {
	group, name, title string
	who                []string
	once               bool     // one round is enough: memory, and the points of a plot
	args               []string // of the load
	run                func(ctx context.Context, b *bench, j job, who string) (Values, error)
}

// The groups, as --only names them, in the order in which they are run.
var groups = []string{"fan", "echo", "accept", "idle", "durable", "storm", "slow", "plot", "go"}

// Who takes part. The first is what the others are divided by.
var (
	libraries = []string{"gorilla", "gws", "coder", "gobwas"}
	feeds     = append([]string{"floor", "kabar"}, libraries...)
	joiners   = append([]string{"floor-joined", "kabar"}, libraries...)
	echoes    = append([]string{"floor", "wsecho"}, libraries...)
)

// Points of the plots.
var (
	plotConnections = []int{1, 10, 100, 1000, 10000, 19000}
	plotSizes       = []int{16, 64, 256, 1024, 4096, 16384, 65536}
	plotted         = []string{"floor", "kabar", "gorilla", "gws", "coder", "gobwas"}
)

// jobs are all measurements. What is in brackets in a title is what the load does.
func (b *bench) jobs() []job {
	n, idle, storm, seconds := "10000", "19000", "15000", []string{"--secs", "2.5", "--warm", "0.6", "--settle", "0.4"}
	few := func(who []string) []string { return who }
	if b.quick {
		idle, storm, seconds = "5000", "3000", []string{"--secs", "1.2", "--warm", "0.3", "--settle", "0.3"}
		few = func(who []string) []string {
			return slices.DeleteFunc(slices.Clone(who), func(w string) bool { return w == "coder" || w == "gobwas" })
		}
	}
	load := func(mode string, more ...string) []string {
		return slices.Concat([]string{"--mode", mode}, seconds, more)
	}
	all := []job{
		{group: "fan", name: "fan-1000", title: "delivery, 1,000 subscribers, one at a time", who: few(feeds), args: load("fan", "--n", "1000")},
		{group: "fan", name: "fan-10000", title: "delivery, 10,000 subscribers, one at a time", who: few(feeds), args: load("fan", "--n", n)},
		{group: "fan", name: "joined-1000", title: "delivery, 1,000 subscribers, saturated", who: few(joiners), args: load("fan", "--n", "1000", "--window", "64")},
		{group: "fan", name: "joined-10000", title: "delivery, 10,000 subscribers, saturated", who: joiners[:2], args: load("fan", "--n", n, "--window", "64")},
		{group: "fan", name: "steady-1000", title: "delivery, 1,000 subscribers, 100 broadcasts a second", who: few(feeds), args: load("fan", "--n", "1000", "--rate", "100")},
		{group: "echo", name: "echo", title: "echo, 1,000 connections, saturated", who: few(b.readers(echoes)), args: load("echo", "--n", "1000")},
		{group: "echo", name: "echo-steady", title: "echo, 1,000 connections, 40,000 a second", who: few(b.readers(echoes)), args: load("echo", "--n", "1000", "--rate", "40000")},
		{group: "accept", name: "accept", title: "upgrade, plain", who: few(append([]string{"floor", "kabar"}, b.readers(echoes)[1:]...)), args: load("accept", "--inflight", "64")},
		{group: "accept", name: "accept-code", title: "upgrade with a one-time code", who: []string{"floor", "kabar"}, args: load("accept", "--inflight", "64"), run: withCodes},
		{group: "idle", name: "idle", title: "idle session, " + idle + " connections", once: true, who: few(feeds), args: []string{"--mode", "idle", "--n", idle, "--settle", "3"}, run: holding},
		{group: "idle", name: "idle-tls", title: "idle session under TLS", once: true, who: []string{"kabar"}, run: overTLS},
		{group: "durable", name: "durable", title: "direct message, many pairs", who: []string{"kabar"}, args: load("durable", "--depth", "16"), run: pairs},
		{group: "durable", name: "durable-calm", title: "direct message, 200 a second", who: []string{"kabar"}, args: load("durable", "--rate", "200"), run: pairs},
		{group: "storm", name: "storm", title: storm + " sessions lost at once", who: []string{"floor", "kabar", "kabar-admits"}, args: []string{"--mode", "storm", "--n", storm}},
		{group: "slow", name: "slow", title: "500 readers beside 500 that never read", once: true, who: []string{"kabar-stall-5s"}, args: []string{"--mode", "slow", "--n", "500", "--more", "500", "--rate", "40", "--size", "8000", "--secs", "24"}, run: deafened},
	}
	all = slices.DeleteFunc(all, func(j job) bool {
		return b.quick && slices.Contains([]string{"fan-10000", "joined-10000", "slow"}, j.name)
	})
	if !b.quick {
		all = append(all, points(load)...)
	}
	return all
}

// readers adds the echo server with a goroutine for each connection, where it
// can be had.
func (b *bench) readers(who []string) []string {
	if !b.readerFlag {
		return who
	}
	return slices.Insert(slices.Clone(who), 2, "wsecho-goroutine")
}

// points are the jobs of the plots, without those that are measured anyway.
func points(load func(mode string, more ...string) []string) []job {
	var all []job
	for _, n := range plotConnections {
		if n != 1000 && n != 10000 {
			all = append(all, job{
				group: "plot", name: fmt.Sprintf("fan-%d", n), title: fmt.Sprintf("delivery, %d subscribers", n), once: true, who: plotted,
				args: load("fan", "--n", strconv.Itoa(n)),
			})
		}
	}
	for _, size := range plotSizes {
		all = append(all, job{
			group: "plot", name: fmt.Sprintf("size-%d", size), title: fmt.Sprintf("delivery, 100 subscribers, %d bytes", size), once: true, who: plotted,
			args: load("fan", "--n", "100", "--size", strconv.Itoa(size)),
		})
	}
	return all
}

// plain starts a server and puts it under load.
func plain(ctx context.Context, b *bench, j job, who string) (Values, error) {
	return b.on(ctx, who, setup{}, func(s *server) (Values, error) {
		return b.load(ctx, s, append(j.args, "--path", candidates[who].path)...)
	})
}

// on runs f with a server that has no data yet, and ends it.
func (b *bench) on(ctx context.Context, who string, with setup, f func(s *server) (Values, error)) (Values, error) {
	var err error
	if with.dir, err = b.fresh(); err != nil {
		return nil, err
	}
	defer os.RemoveAll(with.dir)
	s, err := b.start(ctx, who, with)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	return f(s)
}

// lean has a Go program give back at once what it does not use. Memory that was
// taken for something else before would hide what a connection needs.
var lean = []string{"GOMEMLIMIT=1"}

// calm is how long a server is left alone before its memory is looked at.
const calm = 2 * time.Second

// holding measures memory, and of the product its goroutines and its heap.
func holding(ctx context.Context, b *bench, j job, who string) (Values, error) {
	return b.on(ctx, who, setup{env: lean}, func(s *server) (Values, error) {
		var before Values
		var err error
		time.Sleep(calm)
		if who == "kabar" {
			if before, err = s.metrics(ctx); err != nil {
				return nil, err
			}
		}
		v, err := b.hold(ctx, s, func(v Values) error { return s.look(ctx, before, v) }, append(j.args, "--path", candidates[who].path)...)
		if err == nil && v["connections"] > 0 {
			v["bytes_each"] = (v["dirty_kb"] - v["dirty_before_kb"]) * 1024 / v["connections"]
		}
		return v, err
	})
}

// look adds what the product says of itself, where before was asked too.
func (s *server) look(ctx context.Context, before, v Values) error {
	if before == nil {
		return nil
	}
	after, err := s.metrics(ctx)
	if err != nil {
		return err
	}
	v["goroutines_before"], v["goroutines"] = before["go_goroutines"], after["go_goroutines"]
	v["sessions"] = after["kabar_hub_sessions"]
	for _, name := range []string{"heap_inuse", "heap_alloc", "stack_inuse"} {
		v[name+"_each"] = (after["go_memstats_"+name+"_bytes"] - before["go_memstats_"+name+"_bytes"]) / max(v["connections"], 1)
	}
	return nil
}

// deafened adds how many connections the product closed as stalled.
func deafened(ctx context.Context, b *bench, j job, who string) (Values, error) {
	return b.on(ctx, who, setup{}, func(s *server) (Values, error) {
		v, err := b.load(ctx, s, append(j.args, "--path", candidates[who].path)...)
		if err != nil {
			return nil, err
		}
		m, err := s.metrics(ctx)
		if err != nil {
			return nil, err
		}
		for name, n := range m {
			if code, is := strings.CutPrefix(name, `kabar_ws_closed_total{code="`); is {
				v["closed_"+strings.TrimRight(code, `"}`)] = n
			}
		}
		v["stalls"] = m["kabar_ws_stalled_total"]
		return v, nil
	})
}
