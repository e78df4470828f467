/*
 * Whoever asks a running daemon for its tunnel, from the request on, with a client of the configuration in the middle of a request.  All
 * that it says is queued before, then it is done.  The tunnel is given to who says freeze, ready and taken, and to nobody else; in all
 * other cases the daemon goes on as it did, and no descriptor is lost.
 */
#include "fuzz/fuzz.h"
#include "tunnel/ctl_server.h"
#include "tunnel/handover_give.h"
#include "wg/device.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/un.h>

#define IDENTITY "file=1:2 workers=1"
#define FRAMES 3 /* after the request, that count */

static struct loop *loop;
static struct uapi_server *server;
static struct wg_device *device;
static unsigned froze, thawed, gave;
static bool managed;
static uint64_t changes;

static void device_random(void *arg, void *buf, size_t len)
{
	memset(buf, 7, len);
}

static struct wg_now now(void *arg)
{
	return (struct wg_now){.boot_ns = UINT64_C(1000000000), .real_ns = UINT64_C(1767225600000000000)};
}

static int set_port(void *arg, uint16_t port)
{
	return 0;
}

static uint16_t get_port(void *arg)
{
	return 5;
}

static int set_mark(void *arg, uint32_t mark)
{
	return 0;
}

static uint32_t get_mark(void *arg)
{
	return 6;
}

/* Its file is taken away as soon as the client is there, so that nothing is left behind. */
static void gone(void *arg)
{
}

static void describe(void *arg, struct handover_tunnel *ret)
{
	ret->pid = 42;
	ret->port = 5;
	ret->managed = managed;
	ret->n_tun = 1;
	ret->tun[0] = ret->uapi_fd = ret->ctl_fd = ret->process_fd = STDIN_FILENO;
}

static uint64_t no_changes(void *arg)
{
	return changes;
}

static const char *no_objection(void *arg, pid_t to)
{
	return NULL;
}

static void freeze(void *arg)
{
	froze++;
}

static void thaw(void *arg)
{
	thawed++;
}

static void given(void *arg, pid_t to)
{
	MUST(to == getpid());
	gave++;
}

/* The lowest descriptor that is free. */
static int lowest(void)
{
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);

	MUST(fd >= 0);
	close(fd);
	return fd;
}

static void turn(void)
{
	for (int i = 0; loop_wait(loop, 0) > 0; i++)
		MUST(i < 10000);
}

/* Once: what does not change from one input to the next. */
static void make(void)
{
	static const struct uapi_host host = {.now = now, .set_listen_port = set_port, .listen_port = get_port, .set_fwmark = set_mark,
		.fwmark = get_mark};
	struct wg_device_config config = {.random = device_random, .workers = 1};
	struct uapi_server_config uapi = {.dir = "/tmp", .gone = gone};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char name[32];
	int client;

	log_open("fuzz", LOG_LEVEL_SILENT);
	snprintf(name, sizeof(name), "ginnel-fuzz-%d", (int)getpid());
	uapi.name = name;
	MUST(loop_new(&loop) == 0 && wg_device_new(&config, &device) == 0 && uapi_new(device, &host, &uapi.uapi) == 0);
	MUST(uapi_socket_listen(uapi.dir, name, &uapi.fd) == 0);
	uapi.loop = loop;
	MUST(uapi_server_new(&uapi, &server) == 0);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "/tmp/%s.sock", name);
	MUST(client >= 0 && connect(client, (struct sockaddr *)&a, sizeof(a)) == 0 && send(client, "get=", 4, 0) == 4);
	turn();
	unlink(a.sun_path);
	turn();
}

/* The next frame of the input, or nothing. */
static const uint8_t *frame(struct rd *in, size_t *ret_len)
{
	size_t len = min((size_t)rd_u8(in), rd_left(in));

	*ret_len = len;
	return rd_bytes(in, len);
}

/* What it was told is what is. */
static void listen_to(int fd, unsigned *ret_told)
{
	static uint8_t bytes[CTL_FRAME_MAX];
	struct buf b = {.data = bytes, .cap = sizeof(bytes), .max = sizeof(bytes)};

	/* Once more after an error: the kernel tells first that the other end did not read all that was said. */
	for (int errors = 0; errors < 2;) {
		cleanup(ctl_fds_done) struct ctl_fds fds = CTL_FDS_NONE;
		cleanup(buf_done) struct buf why = buf_of_max(4096);
		struct handover_tunnel t;
		struct rd fields;
		uint16_t type;

		if (ctl_recv(fd, &b, &fds) < 0) {
			errors++;
			continue;
		}
		MUST(ctl_open(&fields, b.data, b.len, &type) == 0);
		++*ret_told;
		if (type != HANDOVER_TUNNEL)
			continue;
		handover_tunnel_init(&t);
		MUST(handover_get_tunnel(fields, &t, &why) == 0 && t.pid == 42 && t.port == 5 && t.managed == managed);
	}
}

/* Have it asked with the request, then say all the rest.  The connection is the other end's. */
static void ask(struct handover_give *g, struct rd *in, const int ends[2], bool *ret_asks, uint16_t said[FRAMES])
{
	struct ctl_fds fds = CTL_FDS_NONE;
	struct ctl_service service;
	struct rd fields;
	uint16_t type;
	size_t len;
	const uint8_t *p = frame(in, &len);

	*ret_asks = p && ctl_open(&fields, p, len, &type) == 0;
	if (!*ret_asks) {
		close(ends[1]);
		return;
	}
	for (unsigned i = 0; i < 2 * FRAMES; i++) {
		size_t n;
		const uint8_t *q = frame(in, &n);
		struct buf b = {.data = (uint8_t *)q, .len = n};
		struct rd unused;

		if (!q || !n || ctl_send(ends[0], &b, ends, i & 1) < 0)
			break;
		if (i < FRAMES && ctl_open(&unused, q, n, &said[i]) < 0)
			said[i] = 0;
	}
	shutdown(ends[0], SHUT_WR);
	handover_give_service(g, &service);
	service.take(service.arg, ends[1], fields, &fds);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint16_t wanted[FRAMES] = {HANDOVER_FREEZE, HANDOVER_READY, HANDOVER_TAKEN};
	struct handover_host host = {.now = now, .describe = describe, .config_changes = no_changes, .tunnel_changes = no_changes,
		.objection = no_objection, .freeze = freeze, .thaw = thaw, .given = given, .identity = IDENTITY};
	cleanup(free_ptr) uint8_t *copy = fuzz_copy(data, len);
	struct rd in = rd_of(copy, len);
	uint16_t said[FRAMES] = {0};
	struct handover_give *g;
	unsigned told = 0;
	bool asks, asked;
	int before, ends[2];

	if (!loop)
		make();
	before = lowest();
	froze = thawed = gave = 0;
	managed = rd_u8(&in) & 1;
	host.loop = loop;
	host.device = device;
	host.uapi = server;
	host.signals_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	MUST(host.signals_fd >= 0 && handover_give_new(&host, &g) == 0);
	MUST(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
	ask(g, &in, ends, &asks, said);
	asked = handover_give_due(g) != UINT64_MAX;
	turn();
	listen_to(ends[0], &told);
	MUST(handover_give_due(g) == UINT64_MAX && (told > 0) == asks);
	MUST(froze == thawed + gave && gave == (asked && !memcmp(said, wanted, sizeof(said))));
	MUST(froze == (asked && said[0] == HANDOVER_FREEZE));
	handover_give_free(g);
	close(ends[0]);
	close(host.signals_fd);
	MUST(lowest() == before);
	return 0;
}
