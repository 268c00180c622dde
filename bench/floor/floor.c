// floor is the least that a WebSocket server can cost on this kernel: one
// thread, epoll, blocking calls for nothing else, and no work above the frames.
// What a server spends more than this is its own.
//
//	floor [-p port] [-j]
//
// A text frame that begins with '!' goes to all other connections; any other
// is sent back. With -j what waits to be sent to all leaves in one send.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 1 << 17, READ = 1 << 18, JOIN = 1 << 17, EVENTS = 512 };

struct peer {
	char *rest;              // a frame that has not come whole
	char *queue;             // what the socket had no room for
	uint32_t restn, queuen;
	int place;               // in everybody
	uint8_t open;            // 1 connected, 2 upgraded
};

static struct peer peers[MOST]; // by descriptor; pages come with use
static int everybody[MOST], count;
static char in[2 * READ], echo[2 * READ], joined[2 * READ];
static size_t joinedn;
static int joinedfrom, join, epoll;

static void fail(const char *what) { perror(what); exit(1); }

// SHA-1 of one message of less than 119 bytes (two blocks), as a key with the
// protocol's suffix is.
static void sha1(const char *text, size_t n, uint8_t digest[20]) {
	uint8_t block[128] = {0};
	size_t size = n < 56 ? 64 : 128;
	memcpy(block, text, n);
	block[n] = 0x80;
	for (int i = 0; i < 8; i++)
		block[size - 1 - i] = (uint8_t)((uint64_t)n * 8 >> (8 * i));
	uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	for (size_t at = 0; at < size; at += 64) {
		uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
		for (int i = 0; i < 16; i++) {
			uint32_t v;
			memcpy(&v, block + at + 4 * i, 4);
			w[i] = __builtin_bswap32(v);
		}
		for (int i = 16; i < 80; i++) {
			uint32_t v = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];
			w[i] = v << 1 | v >> 31;
		}
		for (int i = 0; i < 80; i++) {
			uint32_t f, k;
			if (i < 20)      f = (b & c) | (~b & d), k = 0x5a827999;
			else if (i < 40) f = b ^ c ^ d, k = 0x6ed9eba1;
			else if (i < 60) f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
			else             f = b ^ c ^ d, k = 0xca62c1d6;
			uint32_t next = (a << 5 | a >> 27) + f + e + k + w[i];
			e = d, d = c, c = b << 30 | b >> 2, b = a, a = next;
		}
		h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
	}
	for (int i = 0; i < 20; i++)
		digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

// base64 of a digest: 28 characters.
static void base64(const uint8_t digest[20], char text[29]) {
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	int o = 0;
	for (int i = 0; i < 20; i += 3) {
		uint32_t v = (uint32_t)digest[i] << 16 | (uint32_t)digest[i + 1] << 8 | (i + 2 < 20 ? digest[i + 2] : 0);
		for (int shift = 18; shift >= 0; shift -= 6)
			text[o++] = letters[v >> shift & 63];
	}
	text[27] = '=', text[28] = 0;
}

static void leave(int fd) {
	struct peer *p = &peers[fd];
	int last = everybody[--count];
	everybody[p->place] = last, peers[last].place = p->place;
	free(p->rest), free(p->queue);
	memset(p, 0, sizeof *p);
	close(fd);
}

static void watch(int fd, int op, uint32_t events) {
	struct epoll_event e = {.events = events, .data.fd = fd};
	if (epoll_ctl(epoll, op, fd, &e) < 0) fail("epoll_ctl");
}

// put sends, and keeps what the socket has no room for.
static void put(int fd, const char *bytes, size_t n) {
	struct peer *p = &peers[fd];
	ssize_t sent = 0;
	if (!p->queuen) {
		sent = send(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent == (ssize_t)n) return;
		if (sent < 0 && errno != EAGAIN) return; // its end shows when it is read
		if (sent < 0) sent = 0;
		watch(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
	}
	char *queue = realloc(p->queue, p->queuen + n - (size_t)sent);
	if (!queue) fail("queue");
	p->queue = queue;
	memcpy(queue + p->queuen, bytes + sent, n - (size_t)sent);
	p->queuen += (uint32_t)(n - (size_t)sent);
}

static void drain(int fd) {
	struct peer *p = &peers[fd];
	ssize_t sent = p->queuen ? send(fd, p->queue, p->queuen, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
	if (sent < 0) return;
	p->queuen -= (uint32_t)sent;
	memmove(p->queue, p->queue + sent, p->queuen);
	if (p->queuen) return;
	free(p->queue), p->queue = NULL;
	watch(fd, EPOLL_CTL_MOD, EPOLLIN);
}

// flush sends to all but the speaker.
static void flush(void) {
	for (int i = 0; joinedn && i < count; i++) {
		int fd = everybody[i];
		if (peers[fd].open == 2 && fd != joinedfrom) put(fd, joined, joinedn);
	}
	joinedn = 0;
}

static int upgrade(int fd, char *head) {
	static const char suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	char *key = strcasestr(head, "sec-websocket-key:");
	if (!key) return 0;
	key += strlen("sec-websocket-key:");
	key += strspn(key, " ");
	size_t n = strcspn(key, " \r\n");
	char text[100], accept[29], answer[200];
	uint8_t digest[20];
	if (n > sizeof text - sizeof suffix) return 0;
	memcpy(text, key, n), memcpy(text + n, suffix, sizeof suffix - 1);
	sha1(text, n + sizeof suffix - 1, digest);
	base64(digest, accept);
	int size = snprintf(answer, sizeof answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
	peers[fd].open = 2;
	put(fd, answer, (size_t)size);
	return 1;
}

static size_t header(char *to, int op, size_t n) {
	to[0] = (char)(0x80 | op);
	if (n < 126) return to[1] = (char)n, 2;
	if (n < 1 << 16) return to[1] = 126, to[2] = (char)(n >> 8), to[3] = (char)n, 4;
	to[1] = 127;
	for (int i = 0; i < 8; i++) to[2 + i] = (char)((uint64_t)n >> (56 - 8 * i));
	return 10;
}

// unmask is eight bytes at a time.
static void unmask(char *p, size_t n, const char mask[4]) {
	uint64_t word, wide;
	uint32_t four;
	memcpy(&four, mask, 4);
	wide = (uint64_t)four << 32 | four;
	size_t i = 0;
	for (; i + 8 <= n; i += 8) memcpy(&word, p + i, 8), word ^= wide, memcpy(p + i, &word, 8);
	for (; i < n; i++) p[i] ^= mask[i & 3];
}

// frames takes all whole frames of n bytes, and returns how many bytes they
// had; -1 where the connection ends.
static ssize_t frames(int fd, char *bytes, size_t n) {
	size_t at = 0, back = 0;
	while (n - at >= 6) {
		uint8_t *h = (uint8_t *)bytes + at;
		size_t size = h[1] & 127, head = 6;
		if (size == 126) size = (size_t)h[2] << 8 | h[3], head = 8;
		else if (size == 127) {
			if (n - at < 14) break;
			size = 0, head = 14;
			for (int i = 2; i < 10; i++) size = size << 8 | h[i];
		}
		if (size > READ - 14) return -1;
		if (n - at < head + size) break;
		char *text = bytes + at + head;
		unmask(text, size, text - 4);
		at += head + size;
		int op = h[0] & 15;
		if (op == 8) return -1;
		if (op != 1 && op != 2) continue;
		if (size && text[0] == '!') {
			if (joinedn && (!join || joinedfrom != fd || joinedn + size > JOIN)) flush();
			joinedfrom = fd;
			joinedn += header(joined + joinedn, op, size);
			memcpy(joined + joinedn, text, size), joinedn += size;
			continue;
		}
		if (back + size + 10 > sizeof echo) put(fd, echo, back), back = 0;
		back += header(echo + back, op, size);
		memcpy(echo + back, text, size), back += size;
	}
	if (back) put(fd, echo, back);
	if (!join) flush();
	return (ssize_t)at;
}

static void readable(int fd) {
	struct peer *p = &peers[fd];
	size_t n = p->restn;
	if (n) memcpy(in, p->rest, n);
	ssize_t got = recv(fd, in + n, READ - 1, MSG_DONTWAIT);
	if (got <= 0) {
		if (got < 0 && errno == EAGAIN) return;
		leave(fd);
		return;
	}
	n += (size_t)got, in[n] = 0;
	size_t used = 0;
	if (p->open == 1 && strstr(in, "\r\n\r\n")) {
		if (!upgrade(fd, in)) { leave(fd); return; }
		used = n;
	} else if (p->open == 2) {
		ssize_t took = frames(fd, in, n);
		if (took < 0) { leave(fd); return; }
		used = (size_t)took;
	}
	if (n - used > READ) { leave(fd); return; }
	if (used == n) {
		if (p->rest) free(p->rest), p->rest = NULL, p->restn = 0;
		return;
	}
	char *rest = malloc(n - used);
	if (!rest) fail("rest");
	memcpy(rest, in + used, n - used);
	free(p->rest);
	p->rest = rest, p->restn = (uint32_t)(n - used);
}

static void newcomers(int listener) {
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		if (fd < 0) return;
		if (fd >= MOST) { close(fd); continue; }
		peers[fd].open = 1, peers[fd].place = count, everybody[count++] = fd;
		watch(fd, EPOLL_CTL_ADD, EPOLLIN);
	}
}

int main(int argc, char **argv) {
	int port = 9000, option, one = 1;
	while ((option = getopt(argc, argv, "p:j")) != -1) {
		if (option == 'p') port = atoi(optarg);
		else if (option == 'j') join = 1;
		else return 2;
	}
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); // its connections inherit it
	if (bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 65535) < 0) fail("listen");
	if ((epoll = epoll_create1(0)) < 0) fail("epoll_create1");
	watch(listener, EPOLL_CTL_ADD, EPOLLIN);
	struct epoll_event events[EVENTS];
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd == listener) { newcomers(fd); continue; }
			if (!peers[fd].open) continue;
			if (events[i].events & EPOLLOUT) drain(fd);
			if (events[i].events & ~(uint32_t)EPOLLOUT) readable(fd);
		}
		flush();
	}
}
