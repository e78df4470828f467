#include "base/ctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/test.h"

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void whole_frame(struct buf *b)
{
	ctl_begin(b, 0x0102);
	ctl_put_number(b, 1, 0x1122334455667788ULL);
	ctl_put_text(b, 2, "wg0");
	ctl_put_bytes(b, 3, "\0\1\2", 3);
	ctl_put_text(b, 2, "");
}

static void round_trip(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(CTL_FRAME_MAX);
	struct ctl_field f;
	uint16_t type = 0;
	struct rd r;

	whole_frame(&b);
	CHECK_EQ(b.error, 0);
	CHECK_EQ(b.len, 4 + 13 + 8 + 8 + 5);
	CHECK_MEM(b.data, "\1\0\1\2\0\1\1\0\x08\x11\x22", 11);
	CHECK_EQ(ctl_open(&r, b.data, b.len, &type), 0);
	CHECK_EQ(type, 0x0102);
	CHECK(ctl_next(&r, &f));
	CHECK(f.tag == 1 && f.kind == CTL_NUMBER && f.number == 0x1122334455667788ULL);
	CHECK(ctl_next(&r, &f));
	CHECK(f.tag == 2 && f.kind == CTL_TEXT && f.len == 3 && !memcmp(f.data, "wg0", 3));
	CHECK_EQ(f.number, 0);
	CHECK(ctl_next(&r, &f));
	CHECK(f.tag == 3 && f.kind == CTL_BYTES && f.len == 3 && !memcmp(f.data, "\0\1\2", 3));
	CHECK(ctl_next(&r, &f));
	CHECK(f.tag == 2 && f.len == 0);
	CHECK(!ctl_next(&r, &f) && !r.bad && rd_at_end(&r));
}

static void cut_short(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(CTL_FRAME_MAX);
	static const size_t whole[] = {4, 17, 25, 33, 38};
	unsigned taken = 0;

	whole_frame(&b);
	for (size_t len = 0; len <= b.len; len++) {
		/* A copy of its own, so that a sanitizer sees a read past the end. */
		cleanup(free_ptr) uint8_t *copy = malloc(max(len, (size_t)1));
		uint16_t type = 7;
		bool is_whole = false;
		struct rd r;
		int got;

		memcpy(copy, b.data, len);
		for (size_t i = 0; i < array_size(whole); i++)
			is_whole |= whole[i] == len;
		got = ctl_open(&r, copy, len, &type);
		CHECK_EQ(got, is_whole ? 0 : -EBADMSG);
		CHECK_EQ(type, is_whole ? 0x0102 : 7);
		taken += is_whole;
	}
	CHECK_EQ(taken, 5);
}

static void malformed(void)
{
	static const struct {
		const char	*hex;
		int		 want;
	} rows[] = {
		{"01 00 0001", 0},
		{"00 00 0001", -EPROTONOSUPPORT},
		{"02 00 0001", -EPROTONOSUPPORT},
		{"02", -EPROTONOSUPPORT},
		{"01 01 0001", -EBADMSG},                             /* the zero byte */
		{"01 00 0001 0001 01 0007 00000000000000", -EBADMSG}, /* a number of seven bytes */
		{"01 00 0001 0001 01 0009 000000000000000000", -EBADMSG},
		{"01 00 0001 0001 01 0000", -EBADMSG},
		{"01 00 0001 0001 02 0003 610062", -EBADMSG}, /* NUL in text */
		{"01 00 0001 0001 00 0000", -EBADMSG},        /* no such kind */
		{"01 00 0001 0001 04 0000", -EBADMSG},
		{"01 00 0001 0001 ff 0000", -EBADMSG},
		{"01 00 0001 0001 03 ffff 00", -EBADMSG},
		{"01 00 0001 ffff 03 0000", 0},
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		uint8_t frame[64];
		size_t len = test_unhex(rows[i].hex, frame, sizeof(frame));
		uint16_t type;
		struct rd r;

		CHECK_EQ(ctl_open(&r, frame, len, &type), rows[i].want);
	}
}

static void random_frames(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(CTL_FRAME_MAX);
	uint64_t seed = 5;
	unsigned taken = 0;

	for (int round = 0; round < 100000; round++) {
		uint8_t frame[64];
		size_t len;
		uint16_t type;
		struct ctl_field f;
		struct rd r;

		whole_frame(&b);
		len = test_random(&seed) % 3 ? b.len : test_random(&seed) % sizeof(frame);
		for (size_t i = 0; i < len; i++)
			frame[i] = i < b.len ? b.data[i] : (uint8_t)test_random(&seed);
		for (unsigned n = test_random(&seed) % 4; n && len; n--)
			frame[test_random(&seed) % len] = (uint8_t)test_random(&seed);
		if (ctl_open(&r, frame, len, &type))
			continue;
		taken++;
		while (ctl_next(&r, &f)) {
			CHECK(f.data >= frame && f.data + f.len <= frame + len);
			CHECK(f.kind >= CTL_NUMBER && f.kind <= CTL_BYTES);
		}
		CHECK(!r.bad);
	}
	CHECK(taken > 1000 && taken < 99000);
}

static void too_big(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(20), big = buf_of_max(1 << 20);
	static char text[70000];

	ctl_begin(&b, 1);
	ctl_put_text(&b, 1, "0123456789a");
	CHECK_EQ(b.len, 20);
	ctl_put_text(&b, 1, "");
	CHECK_EQ(b.error, -ENOBUFS);
	CHECK_EQ(b.len, 20); /* no half field */
	CHECK_EQ(ctl_send(-1, &b, NULL, 0), -ENOBUFS);
	memset(text, 'x', sizeof(text) - 1);
	ctl_begin(&big, 1);
	ctl_put_text(&big, 1, text);
	CHECK_EQ(big.error, -ENOBUFS);
	ctl_begin(&big, 1);
	CHECK_EQ(big.error, 0);
}

static int pair[2];
static struct buf in;
static struct ctl_fds fds;

static void begin(void)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		abort();
	in = buf_of_max(CTL_FRAME_MAX);
	fds = (struct ctl_fds)CTL_FDS_NONE;
}

static void end(void)
{
	close(pair[0]);
	close(pair[1]);
	buf_done(&in);
	ctl_fds_done(&fds);
}

/* Send ${len} bytes and ${n} descriptors without asking whether that is allowed. */
static void send_raw(const void *data, size_t len, size_t n)
{
	union {
		struct cmsghdr	head;
		uint8_t		bytes[CMSG_SPACE(64 * sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_base = (void *)data, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c = &control.head;

	if (n) {
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		for (size_t i = 0; i < n; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &pair[0], sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
	}
	if (sendmsg(pair[0], &msg, MSG_NOSIGNAL) != (ssize_t)len)
		abort();
}

static void passes_descriptors(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(CTL_FRAME_MAX);
	unsigned before;
	struct stat want, got;
	int sent[2], fd;

	begin();
	sent[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sent[1] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	before = open_fds();
	whole_frame(&b);
	CHECK_EQ(ctl_send(pair[0], &b, sent, 2), 0);
	CHECK_EQ(ctl_recv(pair[1], &in, &fds), 0);
	CHECK_EQ(in.len, b.len);
	CHECK_MEM(in.data, b.data, b.len);
	CHECK_EQ(fds.n, 2);
	CHECK_EQ(open_fds(), before + 2);
	for (size_t i = 0; i < 2; i++)
		CHECK(fcntl(fds.fd[i], F_GETFD) & FD_CLOEXEC);
	fd = ctl_fds_take(&fds, 1);
	CHECK(fd >= 0);
	CHECK_EQ(ctl_fds_take(&fds, 1), -EBADF);
	CHECK_EQ(ctl_fds_take(&fds, 2), -EBADF);
	CHECK_EQ(ctl_fds_take(&fds, SIZE_MAX), -EBADF);
	ctl_fds_done(&fds);
	CHECK_EQ(open_fds(), before + 1); /* what was taken stays open */
	CHECK(!fstat(fd, &got) && !fstat(sent[1], &want));
	CHECK(got.st_ino == want.st_ino && got.st_dev == want.st_dev);
	close(fd);

	CHECK_EQ(ctl_send(pair[0], &b, (int[CTL_FDS_MAX + 1]){0}, CTL_FDS_MAX + 1), -EINVAL);
	CHECK_EQ(ctl_send(pair[0], &b, &(int){-1}, 1), -EBADF);
	close(sent[0]);
	close(sent[1]);
	end();
}

static void never_leaks(void)
{
	static uint8_t big[CTL_FRAME_MAX + 1];
	unsigned before;
	int on = 1;

	begin();
	before = open_fds();
	for (size_t n = CTL_FDS_MAX + 1; n <= 64; n++) {
		send_raw("abcd", 4, n);
		CHECK_EQ(ctl_recv(pair[1], &in, &fds), -EMSGSIZE);
		CHECK_EQ(fds.n, 0);
		CHECK_EQ(in.len, 0);
		CHECK_EQ(open_fds(), before);
	}
	send_raw(big, sizeof(big), 3);
	CHECK_EQ(ctl_recv(pair[1], &in, &fds), -EMSGSIZE);
	CHECK_EQ(open_fds(), before);
	send_raw("", 0, 2);
	CHECK_EQ(ctl_recv(pair[1], &in, &fds), -EPIPE);
	CHECK_EQ(open_fds(), before);
	/* Credentials take the room of descriptors. */
	CHECK_EQ(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	send_raw("abcd", 4, CTL_FDS_MAX);
	CHECK_EQ(ctl_recv(pair[1], &in, &fds), -EMSGSIZE);
	CHECK_EQ(open_fds(), before);
	send_raw("abcd", 4, 0);
	CHECK_EQ(ctl_recv(pair[1], &in, &fds), 0);
	CHECK_EQ(fds.n, 0);
	/* And after all that it still works. */
	on = 0;
	CHECK_EQ(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	send_raw("abcd", 4, 1);
	CHECK_EQ(ctl_recv(pair[1], &in, &fds), 0);
	CHECK_EQ(fds.n, 1);
	ctl_fds_done(&fds);
	CHECK_EQ(open_fds(), before);
	end();
}

static void exactly_the_maximum(void)
{
	static uint8_t big[CTL_FRAME_MAX];

	begin();
	big[sizeof(big) - 1] = 9;
	send_raw(big, sizeof(big), CTL_FDS_MAX);
	CHECK_EQ(ctl_recv(pair[1], &in, &fds), 0);
	CHECK_EQ(in.len, sizeof(big));
	CHECK_EQ(in.data[in.len - 1], 9);
	CHECK_EQ(fds.n, CTL_FDS_MAX);
	end();
}

static void ends_of_the_stream(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(CTL_FRAME_MAX);
	int r;

	begin();
	whole_frame(&b);
	CHECK_EQ(ctl_recv(pair[1], &in, &fds), -EAGAIN);
	do
		r = ctl_send(pair[0], &b, NULL, 0);
	while (!r);
	CHECK_EQ(r, -EAGAIN);
	while (!ctl_recv(pair[1], &in, &fds))
		continue;
	close(pair[0]);
	pair[0] = -1;
	CHECK_EQ(ctl_recv(pair[1], &in, &fds), -EPIPE);
	CHECK_EQ(ctl_send(pair[1], &b, NULL, 0), -EPIPE); /* and no SIGPIPE */
	end();
}

static void peers(void)
{
	uid_t own = geteuid();
	struct ucred who;
	int lone;

	begin();
	CHECK_EQ(ctl_peer(pair[0], &who), 0);
	CHECK_EQ(who.pid, getpid());
	CHECK_EQ(who.uid, geteuid());
	CHECK_EQ(ctl_peer_check(pair[0], own), 0);
	end();

	lone = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	CHECK_EQ(ctl_peer_check(lone, own), -EPERM);
	close(lone);
	CHECK_EQ(ctl_peer_check(-1, own), -EBADF);

	if (geteuid() == 0) {
		CHECK_EQ(seteuid(65534), 0);
		begin();
		CHECK_EQ(ctl_peer_check(pair[0], 65534), 0); /* the same user */
		CHECK_EQ(seteuid(0), 0);
		CHECK_EQ(ctl_peer_check(pair[0], own), -EPERM); /* a stranger */
		end();
		begin();
		CHECK_EQ(seteuid(65534), 0);
		CHECK_EQ(ctl_peer_check(pair[0], 65534), 0); /* root may */
		CHECK_EQ(seteuid(0), 0);
		end();
	}
}

int main(void)
{
	test_run("what is encoded is decoded to the same [ctl-frame]", round_trip);
	test_run("a frame cut short within a field is refused [ctl-hostile]", cut_short);
	test_run("other versions, kinds and lengths are refused [ctl-hostile]", malformed);
	test_run("random frames are refused, or every field lies within them [ctl-hostile]",
		random_frames);
	test_run("a field that does not fit is not half put [ctl-frame]", too_big);
	test_run("descriptors arrive close-on-exec; what nobody takes is closed [ctl-fds]",
		passes_descriptors);
	test_run("too many descriptors, too long packets and cut control data leak nothing "
		 "[ctl-fds]",
		never_leaks);
	test_run("the greatest packet and the most descriptors pass", exactly_the_maximum);
	test_run("a full socket, an empty one and a closed one are told apart, without a signal",
		ends_of_the_stream);
	test_run("strangers are told from root and from ourselves [ctl-peer]", peers);
	return test_done();
}
