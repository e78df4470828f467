/*
 * Frames of the hand-over as the one reads them that takes over: the settings of a tunnel, and what its descriptors are.  The first byte
 * says how many descriptors come along.  What is taken is put and taken again to the same, and no descriptor is lost.
 */
#include "fuzz/fuzz.h"
#include "tunnel/handover.h"

#include <errno.h>
#include <fcntl.h>

/* The lowest descriptor that is free. */
static int lowest(void)
{
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);

	MUST(fd >= 0);
	close(fd);
	return fd;
}

static bool is_same(const struct handover_tunnel *a, const struct handover_tunnel *b)
{
	return a->pid == b->pid && !strcmp(a->program, b->program) && a->port == b->port && a->fwmark == b->fwmark &&
	       a->up == b->up && a->managed == b->managed && !memcmp(&a->bind, &b->bind, sizeof(a->bind));
}

static void settings(struct rd fields)
{
	cleanup(buf_done) struct buf why = buf_of_max(4096), frame = buf_of_max(CTL_FRAME_MAX);
	struct handover_tunnel t, again;
	uint16_t type;
	int r;

	handover_tunnel_init(&t);
	handover_tunnel_init(&again);
	r = handover_get_tunnel(fields, &t, &why);
	MUST(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT);
	MUST(fuzz_printable(why.data, why.len));
	if (r < 0)
		return;
	handover_put_tunnel(&frame, &t);
	MUST(ctl_open(&fields, frame.data, frame.len, &type) == 0 && type == HANDOVER_TUNNEL);
	MUST(handover_get_tunnel(fields, &again, &why) == 0 && is_same(&t, &again));
}

static void descriptors(struct rd fields, unsigned n)
{
	cleanup(ctl_fds_done) struct ctl_fds fds = CTL_FDS_NONE;
	cleanup(buf_done) struct buf frame = buf_of_max(CTL_FRAME_MAX);
	struct handover_tunnel t;
	int r, put[CTL_FDS_MAX];

	handover_tunnel_init(&t);
	for (; fds.n < n; fds.n++) {
		fds.fd[fds.n] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
		MUST(fds.fd[fds.n] >= 0);
	}
	r = handover_get_descriptors(fields, &fds, &t);
	MUST(r == 0 || r == -EBADMSG);
	if (r == 0)
		MUST(handover_put_descriptors(&frame, &t, 0, put) == n);
	handover_tunnel_done(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup(free_ptr) uint8_t *frame = len ? fuzz_copy(data + 1, len - 1) : NULL;
	int before = lowest();
	struct rd fields;
	uint16_t type;

	if (!len || ctl_open(&fields, frame, len - 1, &type) < 0)
		return 0;
	settings(fields);
	descriptors(fields, data[0] % (CTL_FDS_MAX + 1));
	MUST(lowest() == before);
	return 0;
}
