#include "load.h"
#include <getopt.h>
#include <signal.h>

struct options opt = {.mode = "", .path = "/", .port = 9000, .n = 1000, .size = 100, .depth = 1,
	.window = 1, .inflight = 128, .servercore = -1, .loadcore = -1, .warm = 1, .secs = 3, .settle = 1};
const struct mode *mode;

static const struct { const char *name; const struct mode *mode; } modes[] = {
	{"fan", &fan_mode}, {"echo", &echo_mode}, {"accept", &accept_mode}, {"idle", &idle_mode},
	{"storm", &storm_mode}, {"durable", &durable_mode}, {"slow", &slow_mode},
};

static const char usage[] =
	"load --mode fan|echo|accept|idle|storm|durable|slow --port PORT [--pid SERVER] [--cores SERVER,LOAD]\n"
	"  --path /x      of every connection        --pubpath /x  of the publisher\n"
	"  --paths FILE   one path a line, for connections that each have their own\n"
	"  --n N          connections                --more N      that never read (slow)\n"
	"  --size BYTES   of a message               --inflight N  connections being made at once\n"
	"  --window N     broadcasts under way       --depth N     messages under way for each connection\n"
	"  --rate N       messages a second in all, instead of a window or a depth\n"
	"  --warm S  --secs S  --settle S            how long to run unmeasured, measured, and to wait once connected\n";

int main(int argc, char **argv) {
	static const struct option known[] = {
		{"mode", 1, 0, 'm'}, {"port", 1, 0, 'p'}, {"pid", 1, 0, 'P'}, {"cores", 1, 0, 'c'}, {"path", 1, 0, 'u'}, {"pubpath", 1, 0, 'U'}, {"paths", 1, 0, 'f'},
		{"n", 1, 0, 'n'}, {"more", 1, 0, 'M'}, {"size", 1, 0, 'z'}, {"inflight", 1, 0, 'i'}, {"window", 1, 0, 'w'}, {"depth", 1, 0, 'd'},
		{"rate", 1, 0, 'r'}, {"warm", 1, 0, 'a'}, {"secs", 1, 0, 's'}, {"settle", 1, 0, 'e'}, {0, 0, 0, 0},
	};
	int o;
	while ((o = getopt_long_only(argc, argv, "", known, NULL)) != -1) {
		switch (o) {
		case 'm': opt.mode = optarg; break;
		case 'p': opt.port = atoi(optarg); break;
		case 'P': opt.pid = atoi(optarg); break;
		case 'c': sscanf(optarg, "%d,%d", &opt.servercore, &opt.loadcore); break;
		case 'u': opt.path = optarg; break;
		case 'U': opt.pubpath = optarg; break;
		case 'f': opt.paths = optarg; break;
		case 'n': opt.n = atoi(optarg); break;
		case 'M': opt.more = atoi(optarg); break;
		case 'z': opt.size = atoi(optarg); break;
		case 'i': opt.inflight = atoi(optarg); break;
		case 'w': opt.window = atoi(optarg); break;
		case 'd': opt.depth = atoi(optarg); break;
		case 'r': opt.rate = atof(optarg); break;
		case 'a': opt.warm = atof(optarg); break;
		case 's': opt.secs = atof(optarg); break;
		case 'e': opt.settle = atof(optarg); break;
		default: fputs(usage, stderr); return 2;
		}
	}
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
		if (!strcmp(opt.mode, modes[i].name)) mode = modes[i].mode;
	if (!mode || opt.n < 1) { fputs(usage, stderr); return 2; }
	if (!opt.pubpath) opt.pubpath = opt.path;
	signal(SIGPIPE, SIG_IGN);
	wire_begin();
	mode->run();
	return 0;
}
