/* base/program: what goes in, what comes out, and how it ended. */
#include "base/program.h"
#include "base/test.h"

#include <errno.h>
#include <fcntl.h>

static int shell(const char *script, const struct buf *input, struct buf *said)
{
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)script, NULL};

	return program_run(argv, input, -1, -1, said);
}

static void both_ways(void)
{
	cleanup(buf_done) struct buf in = buf_of_max(1 << 20), out = buf_of_max(1 << 20);

	/* More than a pipe and a socket hold. */
	for (unsigned i = 0; i < 20000; i++)
		buf_printf(&in, "line %u of what it is told\n", i);
	CHECK_EQ(shell("cat; echo and more >&2", &in, &out), 0);
	CHECK_EQ(out.len, in.len + 9);
	CHECK_MEM(out.data, in.data, in.len);
	CHECK_STR(buf_str(&out) + in.len, "and more\n");
}

static void deaf(void)
{
	cleanup(buf_done) struct buf in = buf_of_max(1 << 20), out = buf_of_max(100);

	for (unsigned i = 0; i < 20000; i++)
		buf_printf(&in, "line %u that nobody reads\n", i);
	CHECK_EQ(shell("exec <&-; exit 7", &in, &out), 7);
	CHECK_EQ(shell("kill -9 $$", &in, &out), 137);
	CHECK_EQ(shell("cat", NULL, &out), 0);
	CHECK_EQ(out.len, 0);
}

/* What it reads may be an open file, such as a lock, which it then holds. */
static void open_file(void)
{
	char path[] = "/tmp/test-program-XXXXXX";
	cleanup(buf_done) struct buf out = buf_of_max(100);
	cleanup(close_fd) int fd = mkstemp(path);
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)"cat; exec <&-; exit 3", NULL};

	CHECK(fd >= 0);
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(write(fd, "held\n", 5), 5);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(program_run(argv, NULL, fd, -1, &out), 3);
	CHECK_STR(buf_str(&out), "held\n");
	CHECK(fcntl(fd, F_GETFD) >= 0);
}

static void bounded(void)
{
	cleanup(buf_done) struct buf out = buf_of_max(10);

	CHECK_EQ(shell("seq 1 100000; exit 3", NULL, &out), 3);
	CHECK_EQ(out.error, 0);
	CHECK_STR(buf_str(&out), "1\n2\n3\n4\n5\n");
}

static void nobody(void)
{
	char *argv[] = {(char *)"/nonexistent/program", NULL};
	cleanup(buf_done) struct buf out = buf_of_max(10);
	char path[PATH_MAX];

	CHECK_EQ(program_run(argv, NULL, -1, -1, &out), -ENOENT);
	CHECK_EQ(program_beside("something", path), 0);
	CHECK_STR(strrchr(path, '/'), "/something");
}

int main(void)
{
	test_run("a program is told and heard at once, however much it is [run-program]", both_ways);
	test_run("one that does not listen ends as it likes, and we go on [run-program]", deaf);
	test_run("it reads an open file of ours [run-program]", open_file);
	test_run("what has no room is dropped, and the program not kept waiting [run-program]", bounded);
	test_run("a program that is not there is an error [run-program]", nobody);
	return test_done();
}
