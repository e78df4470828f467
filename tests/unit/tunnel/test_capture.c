/* Who asks to listen: requests good and bad over a socket, and what the daemon keeps of them. */
#include "base/test.h"
#include "ctl/capture.h"
#include "ctl/ring.h"
#include "tunnel/capture.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static struct loop *loop;
static struct wg_device *device;
static struct capture *capture;
static struct ctl_service service;
static unsigned quiet_n, events;
static bool is_quiet;

static void random_bytes(void *arg, void *p, size_t len)
{
	memset(p, 7, len);
}

static void wake(void *arg)
{
}

static void hear_event(void *arg, const struct wg_tap_event *e)
{
	events++;
}

static const struct wg_tap hears_events = {.event = hear_event};

static void quiet(void *arg, bool on)
{
	CHECK(on != is_quiet);
	is_quiet = on;
	quiet_n++;
}

static struct wg_now now(void *arg)
{
	return (struct wg_now){.boot_ns = 1000, .real_ns = 2000};
}

static void due(void *arg)
{
}

static void start(void)
{
	struct wg_device_config config = {.random = random_bytes, .wake = wake, .workers = 1};
	struct capture_host host = {.first = &hears_events, .workers = 1, .quiet = quiet, .now = now, .due = due};

	CHECK_EQ(loop_new(&loop), 0);
	CHECK_EQ(wg_device_new(&config, &device), 0);
	host.loop = loop;
	host.device = device;
	CHECK_EQ(capture_new(&host, &capture), 0);
	capture_service(capture, &service);
	CHECK_EQ(service.request, CTL_MESSAGE_CAPTURE);
}

static void stop(void)
{
	capture_free(capture);
	wg_device_free(device);
	loop_free(loop);
}

struct request {
	uint64_t	version, want, snap;
	size_t		key_len;	/* of the peer's; 0: none */
	uint16_t	odd_tag;
	bool		no_ring, bad_ring;
};

/* The error that was answered, 0 when there is a listener now; its end of the socket, if so. */
static int ask(const struct request *q, int *ret_socket, struct ring_reader **ret_ring)
{
	cleanup(buf_done) struct buf frame = buf_of_max(CTL_FRAME_MAX);
	static const uint8_t key[64] = {9};
	struct ring_reader *ring = NULL;
	struct ctl_fds fds = CTL_FDS_NONE;
	uint8_t answer[CTL_FRAME_MAX];
	struct ctl_field f;
	int ends[2], error = 0;
	uint16_t type;
	struct rd r;
	ssize_t n;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	ctl_begin(&frame, CTL_MESSAGE_CAPTURE);
	ctl_put_number(&frame, CTL_ITEM_CAPTURE_VERSION | CTL_CRITICAL, q->version);
	ctl_put_number(&frame, CTL_ITEM_WANT | CTL_CRITICAL, q->want);
	ctl_put_number(&frame, CTL_ITEM_SNAP, q->snap);
	if (q->key_len)
		ctl_put_bytes(&frame, CTL_ITEM_PUBLIC_KEY | CTL_CRITICAL, key, q->key_len);
	if (q->odd_tag)
		ctl_put_number(&frame, q->odd_tag, 1);
	CHECK_EQ(ctl_open(&r, frame.data, frame.len, &type), 0);
	if (q->bad_ring) {
		fds.fd[0] = memfd_create("no ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		fds.n = 1;
	} else if (!q->no_ring) {
		CHECK_EQ(ring_reader_new(RING_SIZE_MIN, &ring), 0);
		fds.fd[0] = dup(ring->fd);
		fds.n = 1;
	}
	service.take(service.arg, ends[0], r, &fds);
	n = recv(ends[1], answer, sizeof(answer), 0);
	CHECK(n > 0 && ctl_open(&r, answer, (size_t)n, &type) == 0);
	if (type != CTL_MESSAGE_CAPTURING)
		while (ctl_next(&r, &f))
			if (f.tag == CTL_ITEM_ERROR)
				error = (int)f.number;
	CHECK(type == CTL_MESSAGE_CAPTURING || error);
	if (error) {
		/* And that was the last word. */
		CHECK_EQ(recv(ends[1], answer, sizeof(answer), 0), 0);
		close(ends[1]);
		if (ring)
			ring_reader_free(ring);
		return error;
	}
	*ret_socket = ends[1];
	*ret_ring = ring;
	return 0;
}

static void bad(void)
{
	static const struct {
		struct request q;
		int error;
	} all[] = {
		{{.version = 2, .want = CAPTURE_EVENTS, .snap = 100}, EPROTONOSUPPORT},
		{{.want = CAPTURE_EVENTS, .snap = 100}, EPROTONOSUPPORT},
		{{.version = 1, .snap = 100}, EINVAL},
		{{.version = 1, .want = 1 << 20, .snap = 100}, EINVAL},
		{{.version = 1, .want = CAPTURE_EVENTS | 1ULL << 40, .snap = 100}, EINVAL},
		{{.version = 1, .want = CAPTURE_EVENTS, .snap = CAPTURE_SNAP_MAX + 1}, EINVAL},
		{{.version = 1, .want = CAPTURE_EVENTS, .key_len = 31}, EBADMSG},
		{{.version = 1, .want = CAPTURE_EVENTS, .key_len = WG_KEY_LEN}, ENOENT},
		{{.version = 1, .want = CAPTURE_EVENTS, .odd_tag = 0x7fff | CTL_CRITICAL}, EOPNOTSUPP},
		{{.version = 1, .want = CAPTURE_EVENTS, .bad_ring = true}, EINVAL},
	};
	struct ring_reader *ring;
	int socket;

	start();
	for (size_t i = 0; i < array_size(all); i++)
		CHECK_EQ(ask(&all[i].q, &socket, &ring), all[i].error);
	CHECK(ask(&(struct request){.version = 1, .want = CAPTURE_EVENTS, .no_ring = true}, &socket, &ring) > 0);
	CHECK_EQ(quiet_n, 0);
	/* What it does not know and need not, it skips. */
	CHECK_EQ(ask(&(struct request){.version = 1, .want = CAPTURE_EVENTS, .odd_tag = 0x7fff}, &socket, &ring), 0);
	close(socket);
	ring_reader_free(ring);
	stop();
}

static bool has_event(struct ring_reader *ring, enum wg_event event)
{
	const struct capture_record *r;
	const void *p;
	size_t len;
	bool found = false;

	while (ring_next(ring, &p, &len) == 1) {
		r = p;
		found |= r->kind == CAPTURE_EVENT && r->event == event;
		ring_release(ring);
	}
	return found;
}

static void come_and_go(void)
{
	const struct request q = {.version = 1, .want = CAPTURE_EVENTS, .snap = 100};
	struct ring_reader *rings[CAPTURE_LISTENERS_MAX + 1] = {NULL};
	int sockets[CAPTURE_LISTENERS_MAX + 1];

	start();
	for (unsigned i = 0; i < CAPTURE_LISTENERS_MAX; i++)
		CHECK_EQ(ask(&q, &sockets[i], &rings[i]), 0);
	CHECK_EQ(ask(&q, &sockets[CAPTURE_LISTENERS_MAX], &rings[CAPTURE_LISTENERS_MAX]), EBUSY);
	events = 0;
	wg_device_tell(device, WG_EVENT_BOUND);
	CHECK_EQ(events, 1); /* who hears of events in any case still does */
	for (unsigned i = 0; i < CAPTURE_LISTENERS_MAX; i++)
		CHECK(has_event(rings[i], WG_EVENT_BOUND));
	/* One leaves, without a word or with one, and there is room again. */
	close(sockets[0]);
	CHECK_EQ(send(sockets[1], "x", 1, 0), 1);
	while (loop_wait(loop, 0) > 0)
		continue;
	wg_device_tell(device, WG_EVENT_BOUND);
	CHECK(!has_event(rings[0], WG_EVENT_BOUND) && !has_event(rings[1], WG_EVENT_BOUND));
	CHECK(has_event(rings[2], WG_EVENT_BOUND));
	ring_reader_free(rings[0]);
	CHECK_EQ(ask(&q, &sockets[0], &rings[0]), 0);
	wg_device_tell(device, WG_EVENT_BOUND);
	CHECK(has_event(rings[0], WG_EVENT_BOUND));
	CHECK(!is_quiet);
	stop();
	for (unsigned i = 0; i < CAPTURE_LISTENERS_MAX; i++) {
		ring_reader_free(rings[i]);
		close(sockets[i]);
	}
}

/* Who reads nothing while strangers send: what is this end's own is in the ring all the same. */
static void strangers(void)
{
	const struct request q = {.version = 1, .want = CAPTURE_EVENTS | CAPTURE_HANDSHAKES | CAPTURE_DROPS, .snap = 1000};
	const struct wg_endpoint from = {.dst = {.family = AF_INET, .port = 4711, .bytes = {192, 0, 2, 9}}};
	struct wg_initiation msg = {{WG_MESSAGE_INITIATION}};
	struct ring_reader *ring;
	uint64_t lost;
	int socket;

	start();
	CHECK_EQ(ask(&q, &socket, &ring), 0);
	for (unsigned i = 0; i < 2000; i++) {
		CHECK_EQ(wg_device_queue(device, &from, &msg, sizeof(msg)), 0);
		wg_device_run(device, now(NULL));
	}
	lost = ring_lost(ring);
	CHECK(lost > 1000);
	for (unsigned i = 0; i < 50; i++)
		wg_device_tell(device, WG_EVENT_BOUND);
	CHECK_EQ(ring_lost(ring), lost);
	CHECK(has_event(ring, WG_EVENT_BOUND));
	close(socket);
	stop();
	ring_reader_free(ring);
}

int main(void)
{
	test_run("bad requests to listen are refused with a reason, and nothing of them stays [listen-bad]", bad);
	test_run("eight may listen, and whoever leaves makes room [capture-many]", come_and_go);
	test_run("messages of strangers fill no place that is kept for what is this end's own [capture-strangers]", strangers);
	return test_done();
}
