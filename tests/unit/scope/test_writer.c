/* Captures as files: whole whatever happens, each readable alone. */
#include "base/test.h"
#include "base/clock.h"
#include "scope/writer.h"
#include "walker.h"
#include "wg/messages.h"
#include "wg/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/test_writer.XXXXXX";
static char path[64];
static struct names *names;
static struct story *story;
static struct writer *w;
static struct buf why;

static bool secret;

static int start(const char *file, uint64_t file_max, unsigned files_max)
{
	struct writer_config c = {.path = file, .tunnel = "wg0", .snap = 65535, .secret = secret, .file_max = file_max, .files_max = files_max};

	why = buf_of_max(1000);
	if (names_new(&names) < 0 || names_read(names, "[Peer]\n# pc\nAllowedIPs=10.0.0.1/32", 33) < 0 ||
		story_new(names, &story) < 0)
		abort();
	c.names = names;
	c.story = story;
	return writer_open(&c, &w, &why);
}

static int stop(void)
{
	int r = w ? writer_close(steal(w), &why) : 0;

	story_free(story);
	names_free(names);
	return r;
}

static void done(void)
{
	buf_done(&why);
}

static struct buf contents(const char *file)
{
	struct buf b = buf_of_max(64 << 20);
	int fd = open(file, O_RDONLY);
	ssize_t n;

	while (fd >= 0 && buf_reserve(&b, 65536) && (n = read(fd, b.data + b.len, 65536)) > 0)
		b.len += (size_t)n;
	close(fd);
	return b;
}

static struct walk walk_file(const char *file)
{
	cleanup(buf_done) struct buf b = contents(file);

	return walk(b.data, b.len);
}

static int inner(size_t len)
{
	static uint8_t packet[65535] = {0x45};
	struct capture_record r = {.kind = CAPTURE_PACKET, .real_ns = 1, .point = WG_TAP_INNER_OUT, .has_peer = 1, .n = 1,
		.len = (uint32_t)len, .kept = (uint32_t)len};

	return writer_put(w, &r, packet, &why);
}

static void message(enum wg_tap_point point, unsigned type, size_t len, uint8_t peer)
{
	uint8_t data[200] = {(uint8_t)type};
	struct capture_record r = {.kind = CAPTURE_PACKET, .real_ns = clock_ns(CLOCK_REALTIME), .point = (uint16_t)point,
		.family = 4, .local_port = 51820, .remote_port = 51821, .has_peer = 1, .n = 1, .len = (uint32_t)len, .kept = (uint32_t)len, .public_key = {peer}};

	CHECK_EQ(writer_put(w, &r, data, &why), 0);
}

static void secrets(uint8_t peer)
{
	struct capture_secrets s = {.local_static = {1}, .local_ephemeral = {2}};
	struct capture_record r = {.kind = CAPTURE_SECRETS, .has_peer = 1, .kept = sizeof(s), .public_key = {peer}};

	CHECK_EQ(writer_put(w, &r, (const uint8_t *)&s, &why), 0);
}

/* Types of blocks, one letter each; of packets the type of their message in IPv4. */
static void order(const struct buf *b, char *ret)
{
	for (size_t at = 0; at + 12 <= b->len; at += walk_u32(b->data + at + 4)) {
		uint32_t type = walk_u32(b->data + at);

		if (type == 6)
			*ret++ = (char)('0' + b->data[at + 28 + 28]);
		else
			*ret++ = ".........EK"[type <= 10 ? type : 0];
	}
	*ret = '\0';
}

static void keys_first(void)
{
	char got[64];
	struct stat st;

	CHECK_EQ(start(path, 0, 0), 0);
	/* A responder: the keys come behind the initiation, and belong in front of it. */
	message(WG_TAP_OUTER_IN, 1, 148, 1);
	CHECK_EQ(writer_flush(w, &why), 0);
	secrets(1);
	message(WG_TAP_OUTER_OUT, 2, 92, 1);
	/* An initiator. */
	secrets(1);
	message(WG_TAP_OUTER_OUT, 1, 148, 1);
	message(WG_TAP_OUTER_IN, 2, 92, 1);
	/* Initiations that cross: of one peer the keys come, of the other none. */
	message(WG_TAP_OUTER_IN, 1, 148, 2);
	message(WG_TAP_OUTER_OUT, 4, 32, 1);
	secrets(3);
	message(WG_TAP_OUTER_IN, 4, 32, 3);
	CHECK_EQ(stop(), 0);
	cleanup(buf_done) struct buf b = contents(path);
	order(&b, got);
	CHECK_STR(got, ".....K12K1214K4");
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	done();
}

static void rotates(void)
{
	char file[128];
	unsigned n, packets = 0;

	CHECK_EQ(start(path, 4096, 0), 0);
	secrets(1);
	message(WG_TAP_OUTER_OUT, 1, 148, 1);
	message(WG_TAP_OUTER_IN, 2, 92, 1);
	for (unsigned i = 0; i < 200; i++)
		CHECK_EQ(inner(500), 0);
	CHECK_EQ(stop(), 0);
	for (n = 1;; n++) {
		struct walk a;

		snprintf(file, sizeof(file), "%s/capture-%05u.pcapng", dir, n);
		if (access(file, F_OK))
			break;
		a = walk_file(file);
		CHECK_STR(a.wrong ? a.wrong : "nothing", "nothing");
		CHECK_EQ(a.secrets, 1);
		CHECK(a.packets >= 2);
		packets += a.packets - 2; /* the handshake stands in each */
		CHECK(a.whole < 4096 + 600);
		unlink(file);
	}
	CHECK(n > 20);
	CHECK_EQ(packets, 200);
	done();
}

static void keeps_the_last(void)
{
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	CHECK_EQ(start(path, 4096, 3), 0);
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(inner(1000), 0);
	CHECK_EQ(stop(), 0);
	d = opendir(dir);
	while ((e = readdir(d))) {
		char file[320];

		if (!strstr(e->d_name, "capture-"))
			continue;
		n++;
		snprintf(file, sizeof(file), "%s/%s", dir, e->d_name);
		unlink(file);
	}
	closedir(d);
	CHECK_EQ(n, 3);
	done();
}

static void large_heads(void)
{
	char file[128];
	unsigned n = 0;

	/* The head alone is larger than a file is to be. */
	CHECK_EQ(start(path, 4096, 0), 0);
	for (unsigned i = 0; i < 200; i++) {
		secrets((uint8_t)i);
		message(WG_TAP_OUTER_OUT, 1, 148, (uint8_t)i);
		message(WG_TAP_OUTER_IN, 2, 92, (uint8_t)i);
	}
	for (unsigned i = 0; i < 200; i++)
		CHECK_EQ(inner(100), 0);
	CHECK_EQ(stop(), 0);
	for (;; n++) {
		struct walk a;

		snprintf(file, sizeof(file), "%s/capture-%05u.pcapng", dir, n + 1);
		if (access(file, F_OK))
			break;
		a = walk_file(file);
		CHECK_STR(a.wrong ? a.wrong : "nothing", "nothing");
		unlink(file);
	}
	CHECK(n > 3 && n < 40);
	done();
}

static void disk_full(void)
{
	struct rlimit old, small;
	struct walk a;
	int r = 0;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small = (struct rlimit){1000001, old.rlim_max};
	setrlimit(RLIMIT_FSIZE, &small);
	CHECK_EQ(start(path, 0, 0), 0);
	for (unsigned i = 0; i < 10000 && r == 0; i++)
		r = inner(777);
	setrlimit(RLIMIT_FSIZE, &old);
	CHECK_EQ(r, -EFBIG);
	CHECK(strstr(buf_str(&why), path));
	CHECK_EQ(stop(), 0);
	a = walk_file(path);
	CHECK_STR(a.wrong ? a.wrong : "nothing", "nothing");
	CHECK(a.packets > 1000 && a.whole > 990000);
	done();
}

static void reader_gone(void)
{
	char pipe_path[64];
	int fd, r = 0;

	signal(SIGPIPE, SIG_IGN);
	snprintf(pipe_path, sizeof(pipe_path), "%s/pipe", dir);
	CHECK_EQ(mkfifo(pipe_path, 0600), 0);
	fd = open(pipe_path, O_RDONLY | O_NONBLOCK);
	CHECK_EQ(start(pipe_path, 0, 0), 0);
	close(fd);
	for (unsigned i = 0; i < 10000 && r == 0; i++)
		r = inner(777);
	CHECK_EQ(r, -EPIPE);
	CHECK_EQ(stop(), 0);
	unlink(pipe_path);
	done();
}

static void losses(void)
{
	struct walk a;

	CHECK_EQ(start(path, 0, 0), 0);
	CHECK_EQ(writer_lost(w, 0, &why), 0);
	CHECK_EQ(writer_lost(w, 5, &why), 0);
	CHECK_EQ(writer_lost(w, 5, &why), 0);
	CHECK_EQ(writer_lost(w, 12, &why), 0);
	CHECK_EQ(stop(), 0);
	a = walk_file(path);
	CHECK_EQ(a.statistics, 2);
	CHECK_EQ(a.events, 2);
	CHECK_EQ(a.lost, 12);
	done();
}

static void cannot_write(void)
{
	CHECK_EQ(start("/nonexistent/x", 0, 0), -ENOENT);
	CHECK(strstr(buf_str(&why), "/nonexistent/x"));
	CHECK_EQ(stop(), 0);
	done();
	CHECK_EQ(start(dir, 0, 0), -EISDIR);
	CHECK_EQ(stop(), 0);
	done();
}

/* What writer_open() says; what was there before must be there still if it refuses. */
static int try(const char *file, bool with_keys)
{
	static const char old[] = "what was there before";
	int fd = open(path, O_WRONLY), r;
	char now[sizeof(old)] = "";

	if (pwrite(fd, old, sizeof(old), 0) != (ssize_t)sizeof(old))
		abort();
	close(fd);
	secret = with_keys;
	r = start(file, 0, 0);
	secret = false;
	stop();
	done();
	fd = open(path, O_RDONLY);
	CHECK_EQ(pread(fd, now, sizeof(now), 0), (ssize_t)sizeof(now));
	CHECK_EQ(!memcmp(now, old, sizeof(old)), r < 0);
	close(fd);
	return r;
}

static unsigned mode_of(const char *file)
{
	struct stat st;

	return stat(file, &st) < 0 ? 0 : st.st_mode & 0777;
}

static void what_others_may_read(void)
{
	CHECK_EQ(chmod(path, 0644), 0);
	CHECK_EQ(try(path, true), -EPERM);
	CHECK_EQ(mode_of(path), 0644);
	CHECK_EQ(try(path, false), 0);
	CHECK_EQ(mode_of(path), 0600);
	CHECK_EQ(try(path, true), 0);
}

static void what_is_somebody_elses(void)
{
	char link[64], pipe_path[64];
	int fd;

	snprintf(link, sizeof(link), "%s/link", dir);
	snprintf(pipe_path, sizeof(pipe_path), "%s/pipe", dir);
	CHECK_EQ(symlink(path, link), 0);
	CHECK_EQ(try(link, true), 0);
	CHECK_EQ(lchown(link, 12345, (gid_t)-1), 0);
	CHECK_EQ(try(link, true), -EPERM);
	CHECK_EQ(try(link, false), -EPERM);
	setenv("SUDO_UID", "12345", 1);
	CHECK_EQ(try(link, true), 0);
	unsetenv("SUDO_UID");
	CHECK_EQ(chown(path, 12345, (gid_t)-1), 0);
	CHECK_EQ(try(path, true), -EPERM);
	CHECK_EQ(try(path, false), -EPERM);
	CHECK_EQ(chown(path, geteuid(), (gid_t)-1), 0);
	CHECK_EQ(try(path, true), 0);
	CHECK_EQ(mkfifo(pipe_path, 0600), 0);
	CHECK_EQ(chown(pipe_path, 12345, (gid_t)-1), 0);
	fd = open(pipe_path, O_RDWR);
	secret = true;
	CHECK_EQ(start(pipe_path, 0, 0), -EPERM);
	CHECK(strstr(buf_str(&why), "somebody else"));
	secret = false;
	stop();
	done();
	close(fd);
	unlink(pipe_path);
	unlink(link);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/capture.pcapng", dir);
	test_run("keys stand in front of the first message that needs them, and files are their owner's [writer-keys-first]", keys_first);
	test_run("each file of a row is whole and has the handshakes of living sessions [writer-rotates]", rotates);
	test_run("so many files are kept [writer-rotates]", keeps_the_last);
	test_run("a head larger than a file is to be does not make a file of each packet [writer-rotates]", large_heads);
	test_run("what cannot grow any more is whole up to its last block [writer-full]", disk_full);
	test_run("a reader that is gone is an error [writer-full]", reader_gone);
	test_run("losses are told once [writer-lost]", losses);
	test_run("a file that cannot be written is named [writer-full]", cannot_write);
	test_run("keys are not written where others may read them, and nothing there is touched [capture-private]", what_others_may_read);
	if (geteuid() == 0)
		test_run("nor is anything to a file, link or pipe of somebody else [capture-private]", what_is_somebody_elses);
	else
		test_skip("nor is anything to a file, link or pipe of somebody else", "takes root");
	unlink(path);
	rmdir(dir);
	return test_done();
}
