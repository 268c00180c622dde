#include "load.h"

// accept: opt.inflight loops that connect, upgrade, and reset the connection.
// With paths each is used once, and the measurement ends when they are used up.

static struct histogram latency;
static conn *paths;
static int next;

static void again(conn *c) {
	if (paths && next >= opt.n) return;
	if (paths) c->path = paths[next++].path;
	dial(c);
}

static void opened(conn *c) {
	if (measuring) note(&latency, now - c->began);
	drop(c);
	again(c);
}

static void ended(conn *c, int status, long retry_ms) {
	(void)status, (void)retry_ms;
	c->again = 1; // not from here: it may fail again at once
}

static void keep(conn *cs, uint64_t until) {
	for (now = clock_ns(); now < until && !(paths && next >= opt.n);) {
		for (int i = 0; i < opt.inflight; i++)
			if (cs[i].again) cs[i].again = 0, again(&cs[i]);
		turn(10);
	}
}

static void accept_all(void) {
	struct stretch s;
	conn *cs = calloc((size_t)opt.inflight, sizeof *cs);
	if (opt.paths) paths = calloc((size_t)opt.n, sizeof *paths), read_paths(opt.paths, paths, opt.n);
	for (int i = 0; i < opt.inflight; i++) cs[i].id = i, again(&cs[i]);
	keep(cs, clock_ns() + (uint64_t)(opt.warm * 1e9));
	stretch_begin(&s);
	keep(cs, clock_ns() + (uint64_t)(opt.secs * 1e9));
	uint64_t opened_n = total.opened - s.t.opened;
	if (!opened_n) fprintf(stderr, "load: nothing was accepted in time to be measured\n"), exit(1);
	stretch_end(&s, opened_n);
	put_number("refused", (double)(total.refused - s.t.refused));
	put_latency("", &latency);
	put_end();
}

const struct mode accept_mode = {.run = accept_all, .opened = opened, .ended = ended};
