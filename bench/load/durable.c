#include "load.h"

// durable: opt.n people, each with the path of a connection and the number of
// the one to write to. A message is over when its writer has the
// acknowledgement and its reader has it. Each has opt.depth under way, or
// opt.rate a second are sent in all.

static struct message *letters;
static size_t *texts;           // where each letter's own stamp is
static struct histogram acks, deliveries;
static uint64_t acked, delivered;
static int draining;

enum { REF = sizeof "{\"type\":0,\"ref\":\"" - 1 };

static void put_letter(conn *c, uint64_t at) {
	static uint64_t last;
	if (at <= last) at = last + 128; // a ref is a stamp, and must be new
	last = at;
	message_stamp(&letters[c->id], REF, at);
	message_stamp(&letters[c->id], texts[c->id], at);
	transmit(c, letters[c->id].bytes, letters[c->id].n);
	total.sent++;
}

static void came(struct histogram *h, const char *p, const char *end) {
	uint64_t at;
	if (end - p < STAMP || !stamp_read(p, &at)) fprintf(stderr, "load: a frame without a stamp: %.60s\n", p), exit(1);
	if (measuring && now > at) note(h, now - at);
}

static void frame(conn *c, const char *p, size_t n) {
	static const char ack[] = "{\"type\":4,\"data\":{\"ref\":\"", incoming[] = "{\"type\":1,", text[] = "\"message\":\"!";
	if (n > sizeof ack && !memcmp(p, ack, sizeof ack - 1)) {
		came(&acks, p + sizeof ack - 1, p + n);
		acked++, c->due++;
	} else if (n > sizeof incoming && !memcmp(p, incoming, sizeof incoming - 1)) {
		char *mark = memmem(p, n, text, sizeof text - 1);
		if (mark) came(&deliveries, mark + sizeof text - 1, p + n);
		delivered++;
	} else if (n > 10 && !memcmp(p, "{\"type\":-1", 10)) {
		fprintf(stderr, "load: an error came: %.*s\n", (int)n, p);
		exit(1);
	}
}

static void settled(conn *c) {
	if (opt.rate > 0 || draining) return;
	for (; c->due; c->due--) put_letter(c, clock_ns());
}

static void keep(conn *cs, uint64_t until) {
	static uint64_t from, begun;
	if (opt.rate <= 0) { turn_until(until); return; }
	if (!from) from = clock_ns();
	for (now = clock_ns(); now < until;) {
		uint64_t due;
		while ((due = from + (uint64_t)((double)(begun + 1) * 1e9 / opt.rate)) <= now)
			put_letter(&cs[begun++ % (uint64_t)opt.n], due);
		turn(due - now > 2000000 ? 1 : 0);
	}
}

static void durable(void) {
	struct stretch s;
	char before[128];
	conn *cs = calloc((size_t)opt.n, sizeof *cs);
	letters = calloc((size_t)opt.n, sizeof *letters), texts = calloc((size_t)opt.n, sizeof *texts);
	if (!opt.paths) fprintf(stderr, "load: durable needs --paths\n"), exit(2);
	read_paths(opt.paths, cs, opt.n);
	for (int i = 0; i < opt.n; i++) {
		cs[i].id = i;
		texts[i] = 1 + (size_t)snprintf(before, sizeof before, "{\"type\":0,\"ref\":\"AAAAAAAA\",\"data\":{\"to\":%llu,\"message\":\"",
			(unsigned long long)cs[i].user);
		message_make(&letters[i], before, '!', "\"}}", (int)texts[i] - 1 + opt.size + 3);
	}
	open_all(cs, opt.n);
	turn_until(clock_ns() + (uint64_t)(opt.settle * 1e9));
	for (int i = 0; i < opt.n && opt.rate <= 0; i++) cs[i].due = opt.depth, settled(&cs[i]);
	keep(cs, clock_ns() + (uint64_t)(opt.warm * 1e9));
	uint64_t acked0 = acked, delivered0 = delivered;
	stretch_begin(&s);
	keep(cs, clock_ns() + (uint64_t)(opt.secs * 1e9));
	uint64_t both = acked - acked0 < delivered - delivered0 ? acked - acked0 : delivered - delivered0;
	if (!both) fprintf(stderr, "load: nothing was acknowledged and delivered\n"), exit(1);
	stretch_end(&s, both);
	put_latency("ack_", &acks);
	put_latency("delivery_", &deliveries);
	draining = 1;
	for (int i = 0; i < 50 && (acked < total.sent || delivered < total.sent); i++) turn_until(clock_ns() + 100000000);
	put_number("unacknowledged", (double)(total.sent - acked));
	put_number("undelivered", (double)(total.sent - delivered));
	put_end();
}

const struct mode durable_mode = {.run = durable, .frame = frame, .settled = settled};
