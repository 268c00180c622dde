#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct totals total;
uint64_t now;

static int epoll;
static char in[1 << 18];

void wire_begin(void) {
	if ((epoll = epoll_create1(0)) < 0) perror("epoll_create1"), exit(1);
	now = clock_ns();
}

static void watch(conn *c, int op, uint32_t events) {
	struct epoll_event e = {.events = events, .data.ptr = c};
	epoll_ctl(epoll, op, c->fd, &e);
}

static void finish(conn *c, int status, long retry_ms) {
	int was = c->state;
	drop(c);
	if (status == 0) total.broken++;
	else if (was == OPEN) total.ended++;
	else total.refused++;
	if (mode->ended) mode->ended(c, status, retry_ms);
}

void drop(conn *c) {
	if (c->state == IDLE) return;
	struct linger reset = {1, 0};
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(c->fd);
	free(c->part), free(c->queue);
	c->part = c->queue = NULL;
	c->partn = c->queuen = c->left = 0;
	c->headn = c->writing = c->state = IDLE;
}

static void ask(conn *c) {
	char request[2048];
	const char *path = c->path ? c->path : opt.path;
	int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", path, opt.port);
	ssize_t sent = send(c->fd, request, (size_t)n, MSG_NOSIGNAL);
	if (sent == n) {
		if (c->writing) watch(c, EPOLL_CTL_MOD, EPOLLIN);
		else watch(c, EPOLL_CTL_ADD, EPOLLIN);
		c->writing = 0, c->state = UPGRADING;
		return;
	}
	int error = 0;
	socklen_t size = sizeof error;
	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error || c->writing) { finish(c, 0, -1); return; }
	c->writing = 1; // not connected yet
	watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

// dial connects from one of a few addresses, so that ports do not run short;
// who comes and goes needs none.
void dial(conn *c) {
	int one = 1;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (c->fd < 0) perror("socket"), exit(1);
	c->state = DIALLING, c->began = clock_ns();
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	int small = 4096; // what nobody reads is soon held by the server alone
	if (c->role == DEAF) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	if (mode != &accept_mode) {
		struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002u + (uint32_t)c->id % 16)};
		setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
		if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0) perror("bind"), exit(1);
	}
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) { finish(c, 0, -1); return; }
	ask(c);
}

void deafen(conn *c, int deaf) {
	if (c->deaf == deaf || c->state == IDLE) return;
	c->deaf = (uint8_t)deaf;
	watch(c, deaf ? EPOLL_CTL_DEL : EPOLL_CTL_ADD, EPOLLIN);
}

void transmit(conn *c, const char *bytes, size_t n) {
	ssize_t sent = c->queuen ? 0 : send(c->fd, bytes, n, MSG_NOSIGNAL);
	if (sent == (ssize_t)n) return;
	if (sent < 0) {
		if (errno != EAGAIN) return; // shows when it is read
		sent = 0;
	}
	c->queue = realloc(c->queue, c->queuen + n);
	memcpy(c->queue + c->queuen, bytes + sent, n - (size_t)sent);
	c->queuen += n - (size_t)sent;
	if (!c->writing) c->writing = 1, watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static void drain(conn *c) {
	ssize_t sent = send(c->fd, c->queue, c->queuen, MSG_NOSIGNAL);
	if (sent < 0) return;
	c->queuen -= (size_t)sent;
	memmove(c->queue, c->queue + sent, c->queuen);
	if (!c->queuen) c->writing = 0, watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

// answered reads the answer to the upgrade, and returns how much of it there
// was, 0 where more must come.
static size_t answered(conn *c, char *p, size_t n) {
	static const char accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; // of the key in ask
	char *end = memmem(p, n, "\r\n\r\n", 4);
	if (!end) return 0;
	end[2] = 0;
	int status = n > 12 ? atoi(p + 9) : 0;
	if (status == 101 && strstr(p, accept)) {
		c->state = OPEN, total.opened++;
		if (mode->opened) mode->opened(c);
		return (size_t)(end + 4 - p);
	}
	char *retry = strcasestr(p, "\r\nretry-after:");
	if (total.refused + total.broken == 0 || status == 101)
		fprintf(stderr, "load: refused: %.60s … %.200s\n", p, end + 4);
	finish(c, status == 101 ? 0 : status, retry ? atol(retry + 14) * 1000 : -1);
	return n;
}

static void closed(conn *c, const char *p, size_t n) {
	int code = n >= 2 ? (uint8_t)p[0] << 8 | (uint8_t)p[1] : 1005;
	char reason[128] = "";
	if (n > 2) memcpy(reason, p + 2, n - 2 < 125 ? n - 2 : 125);
	char *wait = strstr(reason, "retry-after-ms=");
	finish(c, code, wait ? atol(wait + 15) : -1);
}

// frame takes a whole frame, of which the first keptn bytes are there.
static void frame(conn *c, const char *p, size_t keptn) {
	int op = c->op & 15;
	if (op == 8) { closed(c, p, keptn); return; }
	if (op == 9) {
		char pong[136] = {(char)0x8a, (char)(0x80 | keptn)}; // a mask of zeros
		memcpy(pong + 6, p, keptn < 126 ? keptn : 125);
		transmit(c, pong, 6 + (keptn < 126 ? keptn : 125));
		return;
	}
	if (op > 8 || !(c->op & 0x80)) return;
	total.messages++;
	if (mode->frame) mode->frame(c, p, keptn);
}

// header takes bytes of a frame's head, and says whether it is whole.
static int header(conn *c, char **p, const char *end) {
	for (;;) {
		int need = 2;
		if (c->headn >= 2) {
			int n = c->head[1] & 127;
			need = n == 126 ? 4 : n == 127 ? 10 : 2;
			if (c->headn == need) break;
		}
		if (*p == end) return 0;
		c->head[c->headn++] = *(*p)++;
	}
	uint64_t size = c->head[1] & 127;
	if (c->headn > 2) {
		size = 0;
		for (int i = 2; i < c->headn; i++) size = size << 8 | (uint8_t)c->head[i];
	}
	c->op = (uint8_t)c->head[0], c->headn = 0;
	c->size = c->left = size, c->partn = 0;
	return 1;
}

static void frames(conn *c, char *p, char *end) {
	while (c->state == OPEN && (p < end || c->left)) {
		if (!c->left) {
			if (!header(c, &p, end)) return;
			if ((uint64_t)(end - p) >= c->size) { // the usual case: all of it is here
				uint64_t size = c->size;
				c->left = 0;
				frame(c, p, size);
				p += size;
				continue;
			}
			if (!c->part) c->part = malloc(KEPT);
		}
		size_t n = (size_t)(end - p) < c->left ? (size_t)(end - p) : c->left;
		size_t room = KEPT - c->partn < n ? KEPT - c->partn : n;
		memcpy(c->part + c->partn, p, room);
		c->partn += room, c->left -= n, p += n;
		if (c->left) return;
		frame(c, c->part, c->partn);
	}
}

static void readable(conn *c) {
	ssize_t n = recv(c->fd, in, sizeof in - 1, 0);
	now = clock_ns();
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN) finish(c, 0, -1);
		return;
	}
	total.bytes += (uint64_t)n, total.reads++;
	char *p = in;
	in[n] = 0;
	if (c->state == UPGRADING) {
		size_t used = answered(c, in, (size_t)n);
		if (!used) { // a head in pieces is nothing that a server here sends
			fprintf(stderr, "load: half an answer: %.80s\n", in);
			finish(c, 0, -1);
			return;
		}
		if (c->state != OPEN) return;
		p += used;
	}
	frames(c, p, in + n);
	if (c->state == OPEN && mode->settled) mode->settled(c);
}

void turn(int timeout_ms) {
	struct epoll_event events[512];
	int n = epoll_wait(epoll, events, 512, timeout_ms);
	for (int i = 0; i < n; i++) {
		conn *c = events[i].data.ptr;
		if (c->state == DIALLING) ask(c);
		else if (c->state != IDLE) {
			if (c->writing && events[i].events & EPOLLOUT) drain(c);
			if (events[i].events & ~(uint32_t)EPOLLOUT && !c->deaf) readable(c);
		}
	}
	if (n <= 0) now = clock_ns();
}

void turn_until(uint64_t at) {
	for (now = clock_ns(); now < at; now = clock_ns()) {
		uint64_t ms = (at - now) / 1000000;
		turn(ms > 100 ? 100 : (int)ms + (ms == 0));
	}
}

void open_all(conn *cs, int n) {
	uint64_t progress = clock_ns(), failures = 0;
	int started = 0, open = 0;
	while (open < n) {
		int was = open, under = 0;
		for (int i = open = 0; i < started; i++) {
			open += cs[i].state == OPEN;
			under += cs[i].state == DIALLING || cs[i].state == UPGRADING;
			if (cs[i].state == IDLE && cs[i].again <= now && under < opt.inflight) dial(&cs[i]), under++, failures++;
		}
		while (started < n && under < opt.inflight) dial(&cs[started++]), under++;
		turn(open < n ? 1 : 0);
		if (open > was) progress = now;
		if (now - progress > 20000000000ull || failures > 1000 + 4 * (uint64_t)n) {
			fprintf(stderr, "load: %d of %d connections are open, and no more become so\n", open, n);
			exit(1);
		}
	}
}

char *read_paths(const char *file, conn *cs, int n) {
	FILE *f = fopen(file, "r");
	if (!f) perror(file), exit(1);
	char *text = NULL;
	size_t size = 0;
	if (getdelim(&text, &size, 0, f) < 0) fprintf(stderr, "load: %s is empty\n", file), exit(1);
	fclose(f);
	char *rest = text;
	for (int i = 0; i < n; i++) {
		char *line = strsep(&rest, "\n");
		if (!line || !*line) fprintf(stderr, "load: %s has only %d lines\n", file, i), exit(1);
		cs[i].path = strsep(&line, " ");
		cs[i].user = line ? strtoull(line, NULL, 10) : 0;
	}
	return text;
}

// A stamp is 48 bits of 128 ns each, in letters that JSON leaves alone.
static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void stamp_write(char *to, uint64_t ns) {
	uint64_t v = ns >> 7;
	for (int i = STAMP; i--; v >>= 6) to[i] = letters[v & 63];
}

int stamp_read(const char *from, uint64_t *ns) {
	static int8_t value[256];
	if (!value['B']) {
		memset(value, -1, sizeof value);
		for (int i = 0; i < 64; i++) value[(uint8_t)letters[i]] = (int8_t)i;
	}
	uint64_t v = 0;
	for (int i = 0; i < STAMP; i++) {
		int digit = value[(uint8_t)from[i]];
		if (digit < 0) return 0;
		v = v << 6 | (uint64_t)digit;
	}
	*ns = v << 7;
	return 1;
}

void message_make(struct message *m, const char *before, char mark, const char *after, int size) {
	size_t b = strlen(before), a = strlen(after), n = b + MARKED + a, at = 0;
	if ((size_t)size > n) n = (size_t)size;
	m->bytes = malloc(n + 14);
	m->bytes[at++] = (char)0x81;
	if (n < 126) m->bytes[at++] = (char)(0x80 | n);
	else if (n < 1 << 16) m->bytes[at++] = (char)(0x80 | 126), m->bytes[at++] = (char)(n >> 8), m->bytes[at++] = (char)n;
	else {
		m->bytes[at++] = (char)(0x80 | 127);
		for (int i = 56; i >= 0; i -= 8) m->bytes[at++] = (char)((uint64_t)n >> i);
	}
	memcpy(m->mask, "\x9d\x31\xe2\x57", 4);
	memcpy(m->bytes + at, m->mask, 4);
	m->text = at + 4, m->n = m->text + n;
	char *text = m->bytes + m->text;
	memset(text, 'x', n);
	memcpy(text, before, b);
	text[b] = mark;
	memcpy(text + n - a, after, a);
	for (size_t i = 0; i < n; i++) text[i] ^= m->mask[i & 3];
}

void message_stamp(struct message *m, size_t at, uint64_t ns) {
	char stamp[STAMP];
	stamp_write(stamp, ns);
	for (size_t i = 0; i < STAMP; i++) m->bytes[m->text + at + i] = stamp[i] ^ m->mask[(at + i) & 3];
}
