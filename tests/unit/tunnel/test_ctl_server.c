/* The control channel's server against clients of every sort, in one thread: the loop is turned by hand. */
#include "base/test.h"
#include "ctl/client.h"
#include "tunnel/ctl_server.h"
#include "base/local_socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define COUNT CTL_MESSAGE_STATS   /* answers as many frames as the request says */
#define TAKEN CTL_MESSAGE_EVENTS
#define FAT 60000

static char dir[64], path[LOCAL_PATH_MAX];
static struct loop *loop;
static struct ctl_server *server;
static unsigned answers_open, frames_made;
static int taken = -1, taken_fd = -1;

/* ---- what it serves ---- */

struct counting {
	uint64_t at, n, fail_at;
};

static int count_begin(void *arg, struct rd fields, void **ret)
{
	struct counting *c = calloc(1, sizeof(*c));
	struct ctl_field f;

	while (ctl_next(&fields, &f)) {
		if (f.tag == CTL_ITEM_COUNT)
			c->n = f.number;
		if (f.tag == CTL_ITEM_ERROR)
			c->fail_at = f.number;
	}
	if (c->n == 13) {
		free(c);
		return -ERANGE;
	}
	answers_open++;
	*ret = c;
	return 0;
}

static int count_next(void *arg, void *answer, struct buf *frame)
{
	static const char filling[FAT];
	struct counting *c = answer;

	if (c->fail_at && c->at == c->fail_at)
		return -EIO;
	if (c->at == c->n)
		return 0;
	frames_made++;
	ctl_begin(frame, CTL_MESSAGE_DROP);
	ctl_put_number(frame, CTL_ITEM_COUNT, c->at++);
	ctl_put_bytes(frame, CTL_ITEM_PUBLIC_KEY, filling, FAT);
	return 1;
}

static void count_end(void *arg, void *answer)
{
	answers_open--;
	free(answer);
}

static void take(void *arg, int socket, struct rd fields, struct ctl_fds *fds)
{
	taken = socket;
	taken_fd = ctl_fds_take(fds, 0);
}

static const struct ctl_service services[] = {
	{.request = COUNT, .begin = count_begin, .next = count_next, .end = count_end},
	{.request = TAKEN, .take = take},
};

/* ---- */

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void turn(void)
{
	while (loop && loop_wait(loop, 0) > 0)
		continue;
}

static void start(uid_t own)
{
	struct ctl_server_config config = {
		.services = services, .n_services = array_size(services), .own = own};
	struct stat st;

	CHECK_EQ(loop_new(&loop), 0);
	CHECK_EQ(local_socket_listen(path, SOCK_SEQPACKET, 0600, &config.fd), 0);
	CHECK_EQ(lstat(path, &st), 0);
	CHECK_EQ(st.st_mode, S_IFSOCK | 0600);
	config.loop = loop;
	config.path = path;
	CHECK_EQ(ctl_server_new(&config, &server), 0);
}

static void stop(void)
{
	ctl_server_free(server);
	loop_free(loop);
	loop = NULL;
	CHECK_EQ(access(path, F_OK), -1);
	CHECK_EQ(answers_open, 0);
}

/* ---- a client ---- */

static void none(struct ctl_client *c)
{
	*c = (struct ctl_client)CTL_CLIENT_NONE;
}

static void join(struct ctl_client *c)
{
	cleanup(buf_done) struct buf why = buf_of_max(1000);

	none(c);
	CHECK_EQ(ctl_client_connect_in(c, dir, "wg0", &why), 0);
	turn();
}

static void ask(struct ctl_client *c, uint64_t n, uint64_t fail_at)
{
	cleanup(buf_done) struct buf why = buf_of_max(1000);

	ctl_begin(&c->frame, COUNT);
	ctl_put_number(&c->frame, CTL_ITEM_COUNT, n);
	ctl_put_number(&c->frame, CTL_ITEM_ERROR, fail_at);
	ctl_put_text(&c->frame, 0x7fff, "what a newer client may say");
	CHECK_EQ(ctl_client_send(c, NULL, 0, &why), 0);
	turn();
}

/* What ends the answer; how many frames came before it. */
static int collect(struct ctl_client *c, unsigned *ret_n, struct buf *why)
{
	uint16_t type;
	struct rd r;
	int result;

	for (*ret_n = 0;; ++*ret_n) {
		struct ctl_field f;

		turn();
		result = ctl_client_next(c, &type, &r, why);
		if (result <= 0)
			return result;
		CHECK_EQ(type, CTL_MESSAGE_DROP);
		CHECK(ctl_next(&r, &f) && f.tag == CTL_ITEM_COUNT && f.number == *ret_n);
	}
}

static void expect(struct ctl_client *c, unsigned want)
{
	cleanup(buf_done) struct buf why = buf_of_max(1000);
	unsigned n;

	CHECK_EQ(collect(c, &n, &why), 0);
	CHECK_EQ(n, want);
}

static bool is_closed(struct ctl_client *c)
{
	cleanup(buf_done) struct buf why = buf_of_max(1000);
	uint16_t type;
	struct rd r;

	turn();
	return ctl_client_next(c, &type, &r, &why) == -EPIPE;
}

/* ---- tests ---- */

static void answers(void)
{
	cleanup(buf_done) struct buf why = buf_of_max(1000);
	struct ctl_client c;
	unsigned n;

	start(geteuid());
	join(&c);
	ask(&c, 3, 0);
	expect(&c, 3);
	ask(&c, 0, 0);
	expect(&c, 0);
	ask(&c, 13, 0);
	CHECK_EQ(collect(&c, &n, &why), -ERANGE);
	CHECK_EQ(n, 0);
	ask(&c, 5, 2);
	CHECK_EQ(collect(&c, &n, &why), -EIO);
	CHECK_EQ(n, 2);
	/* Two requests at once: one after the other. */
	ctl_begin(&c.frame, COUNT);
	ctl_put_number(&c.frame, CTL_ITEM_COUNT, 40);
	CHECK_EQ(ctl_client_send(&c, NULL, 0, &why), 0);
	CHECK_EQ(ctl_client_send(&c, NULL, 0, &why), 0);
	expect(&c, 40);
	expect(&c, 40);
	ctl_client_done(&c);
	turn();
	stop();
}

static void unknown(void)
{
	cleanup(buf_done) struct buf why = buf_of_max(1000);
	static const struct {
		char bytes[16];
		size_t len;
		int error;
	} wrong[] = {
		{"\1\0\x7f\xff", 4, -EOPNOTSUPP},
		{"\1\0\x80\x00", 4, -EOPNOTSUPP},
		{"\2\0\0\1", 4, -EPROTONOSUPPORT},
		{"\1", 1, -EBADMSG},
		{"\1\1\0\1", 4, -EBADMSG},
		{"\1\0\0\1\0\1\1\0\1x", 10, -EBADMSG},
		{"\1\0\0\1\x80\7\3\0\0", 9, -EOPNOTSUPP}, /* critical */
	};
	struct ctl_client c;
	unsigned n;

	start(geteuid());
	join(&c);
	for (size_t i = 0; i < array_size(wrong); i++) {
		CHECK_EQ(send(c.fd, wrong[i].bytes, wrong[i].len, 0), wrong[i].len);
		CHECK_EQ(collect(&c, &n, &why), wrong[i].error);
		CHECK(strstr(buf_str(&why), "the ginnel-wg of wg0 refused: "));
	}
	/* And it still is served. */
	ask(&c, 1, 0);
	expect(&c, 1);
	/* A packet that is larger than any frame ends the connection. */
	{
		static char large[CTL_FRAME_MAX + 1];

		CHECK_EQ(send(c.fd, large, sizeof(large), 0), sizeof(large));
		CHECK(is_closed(&c));
	}
	ctl_client_done(&c);
	stop();
}

static void random_bytes(void)
{
	uint64_t state = 7;
	unsigned before;
	struct ctl_client c;

	start(geteuid());
	join(&c);
	ctl_client_done(&c);
	turn();
	before = open_fds();
	for (int i = 0; i < 2000; i++) {
		uint8_t bytes[64];
		size_t len = 1 + test_random(&state) % sizeof(bytes);
		int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
		struct buf b = {.data = bytes, .len = len};

		for (size_t k = 0; k < len; k++)
			bytes[k] = (uint8_t)test_random(&state);
		if (i & 1)
			memcpy(bytes, "\1\0\0\1", min(len, (size_t)4));
		join(&c);
		CHECK_EQ(ctl_send(c.fd, &b, &null, i & 2 ? 1 : 0), 0);
		turn();
		ctl_client_done(&c);
		close(null);
		turn();
	}
	CHECK_EQ(open_fds(), before);
	join(&c);
	ask(&c, 1, 0);
	expect(&c, 1);
	ctl_client_done(&c);
	stop();
}

/* Clients that ask for much and never read: others are served, and little is made in advance. */
static void stalled(void)
{
	struct ctl_client stalls[20], c;

	start(geteuid());
	frames_made = 0;
	for (size_t i = 0; i < array_size(stalls); i++) {
		join(&stalls[i]);
		ask(&stalls[i], 1000000, 0);
	}
	CHECK_EQ(answers_open, array_size(stalls));
	CHECK(frames_made < 20 * array_size(stalls));
	join(&c);
	ask(&c, 100, 0);
	expect(&c, 100);
	/* They have lost nothing: one goes on where it stood. */
	{
		uint16_t type;
		struct rd r;
		struct ctl_field f;
		cleanup(buf_done) struct buf why = buf_of_max(1000);

		for (uint64_t i = 0; i < 300; i++) {
			CHECK_EQ(ctl_client_next(&stalls[3], &type, &r, &why), 1);
			CHECK(ctl_next(&r, &f) && f.number == i);
			turn();
		}
	}
	for (size_t i = 0; i < array_size(stalls); i++)
		ctl_client_done(&stalls[i]);
	turn();
	CHECK_EQ(answers_open, 0);
	ctl_client_done(&c);
	stop();
}

static void many(void)
{
	static struct ctl_client c[CTL_CLIENTS_MAX + 1];

	start(geteuid());
	for (size_t i = 0; i < CTL_CLIENTS_MAX; i++)
		join(&c[i]);
	for (size_t i = 0; i < CTL_CLIENTS_MAX; i++) {
		ask(&c[i], 1, 0);
		expect(&c[i], 1);
	}
	/* The first speaks again, so the second is the one that was silent longest. */
	ask(&c[0], 1, 0);
	expect(&c[0], 1);
	join(&c[CTL_CLIENTS_MAX]);
	CHECK(is_closed(&c[1]));
	ask(&c[0], 2, 0);
	expect(&c[0], 2);
	ask(&c[CTL_CLIENTS_MAX], 2, 0);
	expect(&c[CTL_CLIENTS_MAX], 2);
	for (size_t i = 0; i < array_size(c); i++)
		ctl_client_done(&c[i]);
	turn();
	stop();
}

static void taken_over(void)
{
	cleanup(buf_done) struct buf why = buf_of_max(1000);
	int pipes[2], flags;
	unsigned before;
	struct ctl_client c;
	char byte;

	start(geteuid());
	before = open_fds();
	join(&c);
	CHECK_EQ(pipe(pipes), 0);
	ctl_begin(&c.frame, TAKEN);
	CHECK_EQ(ctl_client_send(&c, &pipes[1], 1, &why), 0);
	turn();
	CHECK(taken >= 0 && taken_fd >= 0);
	flags = fcntl(taken, F_GETFL);
	CHECK(flags & O_NONBLOCK);
	CHECK(fcntl(taken, F_GETFD) & FD_CLOEXEC);
	CHECK_EQ(write(taken_fd, "x", 1), 1);
	CHECK_EQ(read(pipes[0], &byte, 1), 1);
	/* The server neither reads from it nor ends with it. */
	CHECK_EQ(send(c.fd, "yz", 2, 0), 2);
	turn();
	stop();
	CHECK_EQ(recv(taken, &byte, 1, 0), 1);
	CHECK_EQ(byte, 'y');
	ctl_refuse(taken, -EBUSY, "not now");
	{
		unsigned n;

		CHECK_EQ(ctl_client_next(&c, &(uint16_t){0}, &(struct rd){0}, &why), -EBUSY);
		CHECK_STR(buf_str(&why), "the ginnel-wg of wg0 refused: not now");
		close(taken);
		buf_clear(&why);
		CHECK_EQ(collect(&c, &n, &why), -EPIPE);
		CHECK_STR(buf_str(&why), "the ginnel-wg of wg0 ended, or closed the connection");
	}
	ctl_client_done(&c);
	close(taken_fd);
	close(pipes[0]);
	close(pipes[1]);
	CHECK_EQ(open_fds(), before - 4); /* the loop, the listener, its spare and timer; and stop() closed them */
}

static void strangers(void)
{
	cleanup(buf_done) struct buf why = buf_of_max(1000);
	struct ctl_client c;
	unsigned n;

	/* We connect as nobody, and the daemon is somebody else. */
	start(4711);
	CHECK_EQ(chmod(path, 0666), 0);
	CHECK_EQ(chmod(dir, 0755), 0);
	CHECK_EQ(seteuid(65534), 0);
	none(&c);
	CHECK_EQ(ctl_client_connect_in(&c, dir, "wg0", &why), 0);
	CHECK_EQ(seteuid(0), 0);
	turn();
	CHECK_EQ(collect(&c, &n, &why), -EPERM);
	CHECK(is_closed(&c));
	ctl_client_done(&c);
	/* As for the file itself: only its owner may open it. */
	CHECK_EQ(chmod(path, 0600), 0);
	CHECK_EQ(seteuid(65534), 0);
	buf_clear(&why);
	CHECK_EQ(ctl_client_connect_in(&c, dir, "wg0", &why), -EACCES);
	CHECK(strstr(buf_str(&why), "is for root and for who runs the daemon"));
	CHECK_EQ(seteuid(0), 0);
	ctl_client_done(&c);
	stop();
}

static void nobody_there(void)
{
	cleanup(buf_done) struct buf why = buf_of_max(1000);
	char want[200];
	struct ctl_client c;

	none(&c);
	CHECK_EQ(ctl_client_connect_in(&c, dir, "wg7", &why), -ENOENT);
	snprintf(want, sizeof(want), "no ginnel-wg runs for wg7 (no %s/wg7.ctl)", dir);
	CHECK_STR(buf_str(&why), want);
	buf_clear(&why);
	CHECK_EQ(ctl_client_connect_in(&c, dir, "../wg7", &why), -EINVAL);
	CHECK_EQ(ctl_client_connect_in(&c, dir, "", &why), -EINVAL);
	ctl_client_done(&c);
}

static int note(void *arg, const char *name)
{
	strcat(arg, name);
	strcat(arg, " ");
	return 0;
}

static void lists(void)
{
	static const char *const names[] = {"b.ctl", "a.ctl", ".hidden.ctl", "c.sock", ".ctl"};
	char all[200] = "";
	char file[200];

	for (size_t i = 0; i < array_size(names); i++) {
		snprintf(file, sizeof(file), "%s/%s", dir, names[i]);
		close(open(file, O_CREAT | O_WRONLY, 0600));
	}
	CHECK_EQ(ctl_tunnels(dir, note, all), 0);
	CHECK_STR(all, "a b ");
	CHECK_EQ(ctl_tunnels("/nonexistent", note, all), 0);
	for (size_t i = 0; i < array_size(names); i++) {
		snprintf(file, sizeof(file), "%s/%s", dir, names[i]);
		unlink(file);
	}
}

int main(void)
{
	snprintf(dir, sizeof(dir), "/tmp/ginnel-test-ctl-XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/wg0.ctl", dir);
	test_run("requests are answered in turn, refused, and go on afterwards [ctl-answers]", answers);
	test_run("other versions, requests, critical items and malformed ones are refused "
		 "[ctl-refuses]", unknown);
	test_run("random bytes and descriptors leave nothing behind [ctl-refuses]", random_bytes);
	test_run("clients that never read hold nobody up and cost one frame each [ctl-stalled]",
		stalled);
	test_run("256 clients are served, and one more takes the place of the most silent "
		 "[ctl-many]", many);
	test_run("a request may take the connection over, with descriptors [ctl-take]", taken_over);
	if (geteuid() == 0)
		test_run("only root and the daemon's own user are answered [ctl-strangers]",
			strangers);
	else
		test_skip("only root and the daemon's own user are answered [ctl-strangers]",
			"needs root");
	test_run("a tunnel that does not run is said so [ctl-nobody]", nobody_there);
	test_run("the tunnels that there are are listed by name [ctl-list]", lists);
	rmdir(dir);
	return test_done();
}
