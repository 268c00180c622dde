#include "load.h"
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t clock_ns(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// Each power of two has FINE/2 buckets.
void note(struct histogram *h, uint64_t ns) {
	unsigned power = ns < FINE ? 0 : 63u - (unsigned)__builtin_clzll(ns) - 5u;
	unsigned i = power == 0 ? (unsigned)ns : power * FINE / 2 + (unsigned)(ns >> power);
	if (i >= BUCKETS) i = BUCKETS - 1;
	h->bucket[i]++, h->n++;
	if (ns > h->most) h->most = ns;
}

static double bucket_ns(unsigned i) {
	if (i < FINE) return i;
	unsigned power = (i - FINE / 2) / (FINE / 2);
	double from = (double)((uint64_t)(i - power * FINE / 2) << power);
	return from + (double)(1ull << power) / 2;
}

double quantile(const struct histogram *h, double q) {
	uint64_t below = 0;
	for (unsigned i = 0; i < BUCKETS && h->n; i++)
		if ((below += h->bucket[i]) >= (uint64_t)(q * (double)h->n + 0.5) && below)
			return bucket_ns(i) / 1e3;
	return 0;
}

double cpu_of(int pid) {
	char name[64], text[1024];
	snprintf(name, sizeof name, "/proc/%d/stat", pid);
	FILE *f = pid ? fopen(name, "r") : NULL;
	if (!f) return 0;
	text[fread(text, 1, sizeof text - 1, f)] = 0;
	fclose(f);
	char *p = strrchr(text, ')'); // what is before it is a name, with anything in it
	unsigned long user = 0, system = 0;
	if (p) sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

double own_cpu(void) {
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

double core_busy(int core) {
	char name[16], line[512];
	unsigned long t[8] = {0};
	snprintf(name, sizeof name, "cpu%d ", core);
	FILE *f = core >= 0 ? fopen("/proc/stat", "r") : NULL;
	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, name, strlen(name)))
			sscanf(line + strlen(name), "%lu %lu %lu %lu %lu %lu %lu %lu", t, t + 1, t + 2, t + 3, t + 4, t + 5, t + 6, t + 7);
	if (f) fclose(f);
	return (double)(t[0] + t[1] + t[2] + t[5] + t[6] + t[7]) / (double)sysconf(_SC_CLK_TCK); // not 3 and 4, which are idle and waiting
}

long kb_of(int pid, const char *file, const char *field) {
	char name[64], line[256];
	long kb = 0;
	snprintf(name, sizeof name, "/proc/%d/%s", pid, file);
	FILE *f = pid ? fopen(name, "r") : NULL;
	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, field, strlen(field)) && line[strlen(field)] == ':') kb = atol(line + strlen(field) + 1);
	if (f) fclose(f);
	return kb;
}

void reset_peak(int pid) {
	char name[64];
	snprintf(name, sizeof name, "/proc/%d/clear_refs", pid);
	FILE *f = pid ? fopen(name, "w") : NULL;
	if (f) fputs("5", f), fclose(f);
}

static int fields;

void put_number(const char *name, double value) {
	printf("%s\"%s\":%.10g", fields++ ? "," : "{", name, value);
}

void put_end(void) {
	printf("}\n");
	fflush(stdout);
	fields = 0;
}

void put_latency(const char *prefix, const struct histogram *h) {
	static const struct { const char *name; double q; } all[] = {{"p50", .5}, {"p90", .9}, {"p99", .99}, {"p999", .999}};
	char name[64];
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		snprintf(name, sizeof name, "%s%s_us", prefix, all[i].name);
		put_number(name, quantile(h, all[i].q));
	}
	snprintf(name, sizeof name, "%smax_us", prefix);
	put_number(name, (double)h->most / 1e3);
}

void put_memory(const char *suffix) {
	static const char *const kinds[] = {"Rss", "Pss", "Private_Dirty"};
	static const char *const names[] = {"rss", "pss", "dirty"};
	char name[64];
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof name, "%s%s_kb", names[i], suffix);
		put_number(name, (double)kb_of(opt.pid, "smaps_rollup", kinds[i]));
	}
}

int measuring;

void stretch_begin(struct stretch *s) {
	s->cpu = cpu_of(opt.pid), s->own = own_cpu(), s->t = total;
	s->cores = core_busy(opt.servercore) + core_busy(opt.loadcore);
	s->at = clock_ns(), measuring = 1;
}

void stretch_end(const struct stretch *s, uint64_t messages) {
	double secs = (double)(clock_ns() - s->at) / 1e9;
	double cpu = cpu_of(opt.pid) - s->cpu, own = own_cpu() - s->own;
	double cores = core_busy(opt.servercore) + core_busy(opt.loadcore) - s->cores;
	measuring = 0;
	if (!messages) messages = total.messages - s->t.messages;
	put_number("seconds", secs);
	put_number("messages", (double)messages);
	put_number("per_s", (double)messages / secs);
	put_number("sent_per_s", (double)(total.sent - s->t.sent) / secs);
	put_number("mb_per_s", (double)(total.bytes - s->t.bytes) / secs / 1e6);
	uint64_t reads = total.reads - s->t.reads;
	put_number("per_read", reads ? (double)messages / (double)reads : 0); // of which a server's joining is part
	put_number("cpu_us", messages ? cpu * 1e6 / (double)messages : 0);
	put_number("server_busy", cpu / secs);
	put_number("load_busy", own / secs);
	if (opt.servercore >= 0) put_number("others_busy", cores > cpu + own ? (cores - cpu - own) / secs : 0);
	put_number("ended", (double)(total.ended - s->t.ended));
	put_number("broken", (double)(total.broken - s->t.broken));
	put_memory("");
}
