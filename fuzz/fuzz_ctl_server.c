/*
 * Conversations on the control channel: two clients of a server in one loop.  A byte of the input says who does what; what they send is
 * taken from the input too.  Whatever they do, each answer has an end, and nothing is kept of who has left.
 */
#include "fuzz/fuzz.h"
#include "tunnel/ctl_server.h"
#include "base/local_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>

#define CLIENTS 2

static unsigned answers, taken;

static int begin(void *arg, struct rd fields, void **ret)
{
	struct ctl_field f;
	uint64_t *left = malloc(sizeof(*left));

	MUST(left);
	*left = 3;
	while (ctl_next(&fields, &f))
		*left = f.number % 40;
	if (*left == 7) {
		free(left);
		return -ERANGE;
	}
	answers++;
	*ret = left;
	return 0;
}

static int next(void *arg, void *answer, struct buf *frame)
{
	uint64_t *left = answer;

	MUST(!frame->len);
	if (!*left)
		return 0;
	if (*left == 9)
		return -EIO;
	--*left;
	ctl_begin(frame, CTL_MESSAGE_DROP);
	ctl_put_number(frame, CTL_ITEM_COUNT, *left);
	return 1;
}

static void end(void *arg, void *answer)
{
	answers--;
	free(answer);
}

static void take(void *arg, int socket, struct rd fields, struct ctl_fds *fds)
{
	int fd = ctl_fds_take(fds, 0);

	taken++;
	ctl_refuse(socket, -EBUSY, "taken");
	close(socket);
	close_fd(&fd);
}

static const struct ctl_service services[] = {
	{.request = CTL_MESSAGE_STATS, .begin = begin, .next = next, .end = end},
	{.request = CTL_MESSAGE_EVENTS, .take = take},
};

static char path[LOCAL_PATH_MAX];

static void turn(struct loop *loop)
{
	for (int i = 0; loop_wait(loop, 0) > 0; i++)
		MUST(i < 10000);
}

static int join(struct loop *loop)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	MUST(fd >= 0);
	/* Too many wait to be accepted: it has to. */
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		MUST(errno == EAGAIN);
		turn(loop);
		MUST(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	}
	return fd;
}

/* All that came; each frame is one. */
static void listen_to(int fd)
{
	static uint8_t frame[CTL_FRAME_MAX];
	ssize_t n;

	while ((n = recv(fd, frame, sizeof(frame), 0)) > 0) {
		uint16_t type;
		struct rd r;

		MUST(ctl_open(&r, frame, (size_t)n, &type) == 0 && type >= CTL_MESSAGE_END);
	}
}

static void send_some(int fd, struct rd *in, bool with_fds)
{
	size_t len = rd_u8(in);
	const uint8_t *bytes;
	struct buf b;

	len = min(len, rd_left(in));
	bytes = rd_bytes(in, len);
	if (!len || !bytes)
		return;
	b = (struct buf){.data = (uint8_t *)bytes, .len = len};
	(void)ctl_send(fd, &b, &fd, with_fds ? 1 : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ctl_server_config config = {
		.services = services, .n_services = array_size(services), .own = geteuid()};
	struct rd in = rd_of(data, len);
	int clients[CLIENTS], spare;
	struct ctl_server *server;
	struct loop *loop;

	snprintf(path, sizeof(path), "/tmp/ginnel-fuzz-%d.ctl", (int)getpid());
	MUST(loop_new(&loop) == 0);
	MUST(local_socket_listen(path, SOCK_SEQPACKET, 0600, &config.fd) == 0);
	config.loop = loop;
	config.path = path;
	MUST(ctl_server_new(&config, &server) == 0);
	spare = config.fd;
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = join(loop);
	while (!in.bad && !rd_at_end(&in)) {
		uint8_t what = rd_u8(&in);
		int *fd = &clients[what % CLIENTS];

		switch (what >> 4 & 3) {
		case 0:
			send_some(*fd, &in, what & 2);
			break;
		case 1:
			turn(loop);
			break;
		case 2:
			listen_to(*fd);
			break;
		case 3:
			close(*fd);
			*fd = join(loop);
			break;
		}
	}
	turn(loop);
	for (int i = 0; i < CLIENTS; i++) {
		listen_to(clients[i]);
		close(clients[i]);
	}
	turn(loop);
	MUST(!answers);
	ctl_server_free(server);
	MUST(fcntl(spare, F_GETFD) < 0 && access(path, F_OK) < 0);
	loop_free(loop);
	return 0;
}
