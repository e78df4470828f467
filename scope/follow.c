#include "scope/follow.h"

#include "base/clock.h"
#include "ctl/client.h"
#include "ctl/ring.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define RING_SIZE ((size_t)16 << 20)
#define AGAIN_MS 3000		/* for another daemon to take over */
#define AGAIN_STEP_MS 20

struct follow {
	struct ctl_client	 client;
	struct ring_reader	*ring;
	char			 name[64];
	unsigned		 want;
	uint32_t		 snap;
	bool			 one_peer;
	uint8_t			 peer[CAPTURE_KEY_LEN];
	size_t			 ring_size;
	uint64_t		 lost_before;	/* in rings of daemons that are gone */
	bool			 taken;		/* a record is the caller's */
	struct capture_record	 record;	/* what it said when it was checked */
};

static int ask(struct follow *f, struct buf *why)
{
	uint16_t type;
	struct rd fields;
	int r;

	ctl_begin(&f->client.frame, CTL_MESSAGE_CAPTURE);
	ctl_put_number(&f->client.frame, CTL_ITEM_CAPTURE_VERSION | CTL_CRITICAL, CAPTURE_VERSION);
	ctl_put_number(&f->client.frame, CTL_ITEM_WANT | CTL_CRITICAL, f->want);
	ctl_put_number(&f->client.frame, CTL_ITEM_SNAP, f->snap);
	if (f->one_peer)
		ctl_put_bytes(&f->client.frame, CTL_ITEM_PUBLIC_KEY | CTL_CRITICAL, f->peer, sizeof(f->peer));
	r = ctl_client_send(&f->client, &f->ring->fd, 1, why);
	if (r < 0)
		return r;
	r = ctl_client_next(&f->client, &type, &fields, why);
	if (r < 0)
		return r;
	if (r > 0 && type == CTL_MESSAGE_CAPTURING)
		return 0;
	buf_printf(why, "the ginnel-wg of %s answered with something else", f->name);
	return -EPROTO;
}

static int join(struct follow *f, struct buf *why)
{
	int r = ring_reader_new(f->ring_size, &f->ring);

	if (r < 0) {
		buf_printf(why, "no memory for what %s says: %s", f->name, strerror(-r));
		return r;
	}
	r = ctl_client_connect(&f->client, f->name, why);
	if (r >= 0)
		r = ask(f, why);
	if (r < 0) {
		ring_reader_free(steal(f->ring));
		ctl_client_done(&f->client);
	}
	return r;
}

int follow_new(const struct follow_config *config, struct follow **ret, struct buf *why)
{
	cleanup(follow_freep) struct follow *f = calloc(1, sizeof(*f));
	int r;

	if (!f) {
		buf_puts(why, strerror(ENOMEM));
		return -ENOMEM;
	}
	f->client = (struct ctl_client)CTL_CLIENT_NONE;
	f->want = config->want;
	f->snap = config->snap;
	f->ring_size = config->ring ? config->ring : RING_SIZE;
	f->one_peer = config->peer;
	if (config->peer)
		memcpy(f->peer, config->peer, sizeof(f->peer));
	strncpy(f->name, config->name, sizeof(f->name) - 1);
	r = join(f, why);
	if (r < 0)
		return r;
	*ret = steal(f);
	return 0;
}

void follow_free(struct follow *f)
{
	ctl_client_done(&f->client);
	if (f->ring)
		ring_reader_free(f->ring);
	free(f);
}

/* The daemon is gone.  Its sessions may live on in another: what was asked for is asked of that. */
static int again(struct follow *f, struct buf *why)
{
	uint64_t end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)AGAIN_MS * 1000000;
	cleanup(buf_done) struct buf last = buf_of_max(1024);

	f->lost_before += ring_lost(f->ring);
	ring_reader_free(steal(f->ring));
	f->want &= ~(unsigned)CAPTURE_PRIME;
	do {
		buf_clear(&last);
		if (join(f, &last) == 0)
			return 0;
		poll(NULL, 0, AGAIN_STEP_MS);
	} while (clock_ns(CLOCK_MONOTONIC) < end);
	buf_printf(why, "the ginnel-wg of %s ended", f->name);
	return -ECONNRESET;
}

/* 1: it is gone; 0: something or nothing came, or a signal. */
static int wait_for(struct follow *f, int timeout_ms)
{
	struct pollfd p = {.fd = f->client.fd, .events = POLLIN};
	uint8_t frame[64];
	int r = poll(&p, 1, timeout_ms);

	if (r <= 0)
		return 0;
	for (;;) {
		ssize_t n = recv(f->client.fd, frame, sizeof(frame), MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return 1;
		if (n < 0)
			return 0;
	}
}

static int take(struct follow *f, const struct capture_record **ret, const uint8_t **ret_data)
{
	const void *p;
	size_t len;
	int got = ring_next(f->ring, &p, &len);

	if (got <= 0)
		return got;
	if (len < sizeof(f->record))
		return -EBADMSG;
	memcpy(&f->record, p, sizeof(f->record));
	if (len - sizeof(f->record) < f->record.kept)
		return -EBADMSG;
	f->taken = true;
	*ret = &f->record;
	*ret_data = (const uint8_t *)p + sizeof(f->record);
	return 1;
}

static void give_back(struct follow *f)
{
	if (f->taken)
		ring_release(f->ring);
	f->taken = false;
}

int follow_next(struct follow *f, int timeout_ms, const struct capture_record **ret,
	const uint8_t **ret_data, struct buf *why)
{
	bool gone = false;

	give_back(f);
	for (;;) {
		int r = f->ring ? take(f, ret, ret_data) : -ECONNRESET;

		if (r == -EBADMSG)
			buf_printf(why, "the ginnel-wg of %s wrote what is no record", f->name);
		if (r > 0 && (*ret)->kind == CAPTURE_NOTHING) {
			give_back(f);
			continue;
		}
		if (r)
			return r;
		/* What a dead daemon began will not be completed. */
		if (gone) {
			r = again(f, why);
			if (r < 0)
				return r;
			gone = false;
			continue;
		}
		if (!ring_sleep(f->ring))
			continue;
		gone = wait_for(f, timeout_ms);
		if (!gone && ring_sleep(f->ring))
			return 0;
	}
}

bool follow_idle(struct follow *f)
{
	const void *p;
	size_t len;

	give_back(f);
	return ring_next(f->ring, &p, &len) == 0;
}

uint64_t follow_lost(const struct follow *f)
{
	return f->lost_before + (f->ring ? ring_lost(f->ring) : 0);
}
