#include "load.h"

// fan: one publisher, opt.n subscribers. Either opt.window broadcasts are under
// way, where one is over when as many messages came as there are subscribers,
// or opt.rate a second are sent, stamped with the time at which they were due.

static struct message message;
static struct histogram latency;
static conn publisher;

static void frame(conn *c, const char *p, size_t n) {
	uint64_t at;
	(void)c;
	if (measuring && n >= MARKED && stamp_read(p + 1, &at) && now > at) note(&latency, now - at);
}

static void closed_loop(uint64_t until) {
	static uint64_t begun, before;
	static char *many;
	if (!many) many = malloc(message.n * (size_t)opt.window), before = total.messages;
	uint64_t progress = now, came = total.messages;
	for (now = clock_ns(); now < until;) {
		uint64_t over = (total.messages - before) / (uint64_t)opt.n;
		size_t size = 0;
		for (; begun < over + (uint64_t)opt.window; begun++, total.sent++) {
			message_stamp(&message, 1, now);
			memcpy(many + size, message.bytes, message.n), size += message.n;
		}
		if (size) transmit(&publisher, many, size);
		turn(10);
		if (total.messages > came) came = total.messages, progress = now;
		if (now - progress > 10000000000ull) {
			fprintf(stderr, "load: nothing came for ten seconds; %.2f broadcasts are missing\n",
				(double)begun - (double)(total.messages - before) / opt.n);
			exit(1);
		}
	}
}

static void steady(uint64_t until) {
	static uint64_t from, begun;
	if (!from) from = clock_ns();
	for (now = clock_ns(); now < until;) {
		uint64_t due;
		while ((due = from + (uint64_t)((double)(begun + 1) * 1e9 / opt.rate)) <= now) {
			message_stamp(&message, 1, due);
			transmit(&publisher, message.bytes, message.n);
			begun++, total.sent++;
		}
		turn(due - now > 2000000 ? 1 : 0);
	}
}

static void publish(uint64_t until) {
	if (opt.rate > 0) steady(until);
	else closed_loop(until);
}

static void begin(conn *cs) {
	for (int i = 0; i < opt.n; i++) cs[i].id = i;
	open_all(cs, opt.n);
	publisher.role = PUBLISHER, publisher.path = opt.pubpath;
	open_all(&publisher, 1);
	turn_until(clock_ns() + (uint64_t)(opt.settle * 1e9));
	message_make(&message, "", '!', "", opt.size);
	publish(clock_ns() + (uint64_t)(opt.warm * 1e9));
}

static void fan(void) {
	struct stretch s;
	begin(calloc((size_t)opt.n, sizeof(conn)));
	stretch_begin(&s);
	publish(clock_ns() + (uint64_t)(opt.secs * 1e9));
	stretch_end(&s, 0);
	put_latency("", &latency);
	put_end();
}

const struct mode fan_mode = {.run = fan, .frame = frame};

// slow: the same at opt.rate, once in peace, and once with opt.more others that
// never read. At the end these read, to see how they were closed: where a frame
// was cut short, no close code can follow it.

static int stalled, otherwise;

static void ended(conn *c, int status, long retry_ms) {
	(void)retry_ms;
	if (c->role == DEAF) *(status == 4008 ? &stalled : &otherwise) += 1;
}

static void slow(void) {
	struct stretch s;
	conn *cs = calloc((size_t)opt.n, sizeof(conn)), *deaf = calloc((size_t)opt.more, sizeof(conn));
	begin(cs);
	put_memory("_calm");
	stretch_begin(&s);
	publish(clock_ns() + (uint64_t)(opt.secs / 2 * 1e9));
	measuring = 0;
	put_latency("calm_", &latency);
	memset(&latency, 0, sizeof latency);
	for (int i = 0; i < opt.more; i++) deaf[i].id = i, deaf[i].role = DEAF;
	open_all(deaf, opt.more);
	for (int i = 0; i < opt.more; i++) deafen(&deaf[i], 1);
	reset_peak(opt.pid);
	publish(clock_ns() + 100000000);
	stretch_begin(&s);
	publish(clock_ns() + (uint64_t)(opt.secs * 1e9));
	stretch_end(&s, 0);
	put_latency("", &latency);
	put_number("peak_kb", (double)kb_of(opt.pid, "status", "VmHWM"));
	for (int i = 0; i < opt.more; i++) deafen(&deaf[i], 0);
	turn_until(clock_ns() + 3000000000ull);
	int readers = 0;
	for (int i = 0; i < opt.n; i++) readers += cs[i].state == OPEN;
	put_number("readers_open", readers);
	put_number("saw_4008", stalled);
	put_number("saw_other_end", otherwise);
	put_end();
}

const struct mode slow_mode = {.run = slow, .frame = frame, .ended = ended};
