#include "load.h"
#include <poll.h>

// idle: connects, waits until all is calm, prints the server's memory, and holds
// the connections until standard input ends.

static void idle(void) {
	conn *cs = calloc((size_t)opt.n, sizeof *cs);
	for (int i = 0; i < opt.n; i++) cs[i].id = i;
	put_memory("_before");
	double cpu = cpu_of(opt.pid);
	uint64_t from = clock_ns();
	open_all(cs, opt.n);
	put_number("connect_s", (double)(clock_ns() - from) / 1e9);
	turn_until(clock_ns() + (uint64_t)(opt.settle * 1e9));
	int open = 0;
	for (int i = 0; i < opt.n; i++) open += cs[i].state == OPEN;
	put_number("connections", open);
	put_number("connect_cpu_us", (cpu_of(opt.pid) - cpu) * 1e6 / opt.n);
	put_memory("");
	put_end();
	struct pollfd in = {.fd = 0, .events = POLLIN};
	while (poll(&in, 1, 0) == 0) turn(50);
}

const struct mode idle_mode = {.run = idle};

// storm: opt.n sessions are lost at once, and all come back as fast as they may:
// who is refused comes again when the server says, or, where it says nothing,
// after a time that doubles from 100 ms to 5 s, with a random part.

static struct histogram back;
static uint64_t lost;
static int open_now, refusals;

static void opened(conn *c) {
	c->due = 0, c->user = 1; // user: it is one of open_now
	if (lost) open_now++, note(&back, now - lost);
}

static void ended(conn *c, int status, long retry_ms) {
	(void)status;
	if (lost && c->user) open_now--;
	if (lost) refusals++;
	c->user = 0;
	if (c->due < 6) c->due++;
	uint64_t wait = retry_ms >= 0 ? (uint64_t)retry_ms * 1000000 : (50000000ull << c->due) + (uint64_t)random() % (50000000ull << c->due);
	c->again = now + wait;
}

// come dials some of those who may, so that the answers of others are taken too.
static int come(conn *cs, int at) {
	int dialled = 0, seen = 0;
	for (; seen < opt.n && dialled < 256; seen++, at = (at + 1) % opt.n) {
		conn *c = &cs[at];
		if (c->state == IDLE && c->again <= now) dial(c), dialled++;
	}
	turn(dialled ? 0 : 1);
	return at;
}

static void storm(void) {
	struct stretch s;
	conn *cs = calloc((size_t)opt.n, sizeof *cs);
	for (int i = 0; i < opt.n; i++) cs[i].id = i;
	open_all(cs, opt.n);
	turn_until(clock_ns() + (uint64_t)(opt.settle * 1e9));
	put_memory("_calm");
	reset_peak(opt.pid);
	stretch_begin(&s);
	lost = clock_ns();
	for (int i = 0; i < opt.n; i++) drop(&cs[i]), cs[i].user = 0;
	uint64_t all = 0;
	int at = 0;
	while (!all && clock_ns() - lost < 60000000000ull) {
		at = come(cs, at);
		if (open_now == opt.n) all = clock_ns();
	}
	put_number("back_s", all ? (double)(all - lost) / 1e9 : 0);
	put_number("missing", opt.n - open_now);
	put_number("refusals", refusals);
	put_number("peak_kb", (double)kb_of(opt.pid, "status", "VmHWM"));
	stretch_end(&s, total.opened - s.t.opened);
	put_latency("back_", &back);
	put_end();
}

const struct mode storm_mode = {.run = storm, .opened = opened, .ended = ended};
