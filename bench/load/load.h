// load is the other end of a measurement: one thread that opens WebSocket
// connections, sends, counts what comes, and reads from /proc what the server
// spent meanwhile. It prints one JSON object of numbers.
#pragma once
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What the command line says.
struct options {
	const char *mode, *path, *pubpath, *paths;
	int port, n, size, depth, window, inflight, more;
	double rate, warm, secs, settle;
	int pid, servercore, loadcore;
};
extern struct options opt;

// A histogram of nanoseconds; a bucket is 3 % wide.
enum { FINE = 64, BUCKETS = 40 * FINE };
struct histogram { uint64_t n, most, bucket[BUCKETS]; };
void note(struct histogram *h, uint64_t ns);
double quantile(const struct histogram *h, double q); // in µs

uint64_t clock_ns(void);
double cpu_of(int pid);                      // seconds, all threads
double own_cpu(void);
double core_busy(int core);                  // seconds, whoever it was
long kb_of(int pid, const char *file, const char *field); // of /proc/<pid>/<file>
void reset_peak(int pid);                    // VmHWM counts anew

// put_number adds a field to the JSON object, put_end prints it as a line.
void put_number(const char *name, double value);
void put_latency(const char *prefix, const struct histogram *h);
void put_memory(const char *suffix);
void put_end(void);

// A connection, which begins zeroed, with its id. What is kept of a frame that comes in pieces is its beginning.
enum { KEPT = 1024 };
enum { IDLE, DIALLING, UPGRADING, OPEN };
enum { READER, PUBLISHER, DEAF };
typedef struct conn {
	int fd, id, due;          // due: answers that a mode owes
	uint8_t state, role, deaf, writing, headn, op;
	char head[14];
	uint64_t left, size;      // of the payload: to come, in all
	char *part, *queue;
	size_t partn, queuen;
	uint64_t began, again;    // when the dialling began; when it may be tried again
	uint64_t user;            // of a mode
	const char *path;
} conn;

// What a mode does when something happens.
struct mode {
	void (*run)(void);
	void (*opened)(conn *);
	void (*frame)(conn *, const char *kept, size_t keptn);
	void (*settled)(conn *);                           // all of one read was taken
	void (*ended)(conn *, int status, long retry_ms);  // status: HTTP's, a close code, or 0; retry_ms -1: not said
};
extern const struct mode *mode;
extern const struct mode fan_mode, echo_mode, accept_mode, idle_mode, storm_mode, durable_mode, slow_mode;

// The wire.
struct totals { uint64_t opened, refused, broken, ended, messages, sent, bytes, reads; };
extern struct totals total;
extern uint64_t now;            // of the latest event
void wire_begin(void);
void dial(conn *c);
void drop(conn *c);             // with a reset
void deafen(conn *c, int deaf); // stop reading, or begin again
void transmit(conn *c, const char *bytes, size_t n);
void turn(int timeout_ms);      // take what has happened
void turn_until(uint64_t at);
void open_all(conn *cs, int n); // dials, and waits until all are open
char *read_paths(const char *file, conn *cs, int n); // one a line: path [number]

// A client's frame whose text begins with a mark and a time stamp, and is as
// long as opt.size or longer.
enum { STAMP = 8, MARKED = 1 + STAMP };
struct message { char *bytes; size_t n, text; char mask[4]; };
void message_make(struct message *m, const char *before, char mark, const char *after, int size);
void message_stamp(struct message *m, size_t at, uint64_t ns);
void stamp_write(char *to, uint64_t ns);
int stamp_read(const char *from, uint64_t *ns);

// One measured stretch.
struct stretch { uint64_t at; double cpu, own, cores; struct totals t; };
void stretch_begin(struct stretch *s);
void stretch_end(const struct stretch *s, uint64_t messages); // messages 0: all that came
extern int measuring;
