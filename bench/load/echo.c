#include "load.h"

// echo: opt.n connections. Either each has opt.depth messages under way, or
// opt.rate a second are sent in all, one connection after the other.

static struct message message;
static struct histogram latency;

static void frame(conn *c, const char *p, size_t n) {
	uint64_t at;
	c->due++;
	if (measuring && n >= MARKED && stamp_read(p + 1, &at) && now > at) note(&latency, now - at);
}

static void settled(conn *c) {
	if (opt.rate > 0) return;
	for (; c->due; c->due--, total.sent++) {
		message_stamp(&message, 1, now);
		transmit(c, message.bytes, message.n);
	}
}

static void steady(conn *cs, uint64_t until) {
	static uint64_t from, begun;
	if (!from) from = clock_ns();
	for (now = clock_ns(); now < until;) {
		uint64_t due;
		for (int most = 64; most-- && (due = from + (uint64_t)((double)(begun + 1) * 1e9 / opt.rate)) <= now;) {
			message_stamp(&message, 1, due);
			transmit(&cs[begun++ % (uint64_t)opt.n], message.bytes, message.n);
			total.sent++;
		}
		turn(0);
	}
}

static void echo(void) {
	struct stretch s;
	conn *cs = calloc((size_t)opt.n, sizeof *cs);
	for (int i = 0; i < opt.n; i++) cs[i].id = i;
	open_all(cs, opt.n);
	turn_until(clock_ns() + (uint64_t)(opt.settle * 1e9));
	message_make(&message, "", '=', "", opt.size);
	void (*keep)(conn *, uint64_t) = steady;
	if (opt.rate <= 0) {
		now = clock_ns();
		for (int i = 0; i < opt.n; i++) cs[i].due = opt.depth, settled(&cs[i]);
		keep = NULL;
	}
	for (int measured = 0; measured < 2; measured++) {
		if (measured) stretch_begin(&s);
		uint64_t until = clock_ns() + (uint64_t)((measured ? opt.secs : opt.warm) * 1e9);
		if (keep) keep(cs, until);
		else turn_until(until);
	}
	stretch_end(&s, 0);
	put_latency("", &latency);
	put_end();
}

const struct mode echo_mode = {.run = echo, .frame = frame, .settled = settled};
