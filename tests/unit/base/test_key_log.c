#include "base/key_log.h"

#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static const uint8_t one[KEY_LEN] = {1}, two[KEY_LEN] = {2}, three[KEY_LEN] = {3}, none[KEY_LEN];
#define ONE "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define TWO "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define THREE "AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define BLOCK                                                                                      \
	"LOCAL_STATIC_PRIVATE_KEY=" ONE "\nREMOTE_STATIC_PUBLIC_KEY=" TWO                          \
	"\nLOCAL_EPHEMERAL_PRIVATE_KEY=" THREE "\n"

static const struct key_log_keys keys = {
	.local_static = one, .remote_static = two, .local_ephemeral = three, .preshared = none};
static char dir[] = "/tmp/key_log.XXXXXX";
static char said[1024], path[128];

static int open_log(const char *name, bool never_wait, struct key_log *ret)
{
	cleanup(buf_done) struct buf why = buf_of_max(sizeof(said) - 1);
	int r;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	r = key_log_open(path, never_wait, ret, &why);
	snprintf(said, sizeof(said), "%s", buf_str(&why));
	return r;
}

static const char *content(void)
{
	static char text[4096];
	FILE *f = fopen(path, "r");

	text[f ? fread(text, 1, sizeof(text) - 1, f) : 0] = '\0';
	if (f)
		fclose(f);
	return text;
}

static void words(void)
{
	cleanup(buf_done) struct buf text = buf_of_max(1024);

	key_log_put(&keys, &text);
	CHECK_STR(buf_str(&text), BLOCK);
	buf_clear(&text);
	key_log_put(&(struct key_log_keys){.local_static = one, .local_ephemeral = three, .preshared = two}, &text);
	CHECK_STR(buf_str(&text),
		"LOCAL_STATIC_PRIVATE_KEY=" ONE "\nLOCAL_EPHEMERAL_PRIVATE_KEY=" THREE "\nPRESHARED_KEY=" TWO "\n");
	buf_clear(&text);
	key_log_put(&(struct key_log_keys){.local_static = one}, &text);
	CHECK_STR(buf_str(&text), "LOCAL_STATIC_PRIVATE_KEY=" ONE "\n");
}

static void appended(void)
{
	struct key_log l;
	struct stat st;

	for (int i = 0; i < 2; i++) {
		CHECK_EQ(open_log("new", i, &l), 0);
		CHECK_EQ(key_log_write(&l, &keys), 0);
		key_log_close(&l);
	}
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mode & 07777, 0600);
	CHECK_STR(content(), BLOCK BLOCK);
}

static void after_half_a_line(void)
{
	struct key_log l;

	CHECK_EQ(open_log("torn", false, &l), 0);
	CHECK_EQ(write(l.fd, "LOCAL_STA", 9), 9);
	l.torn = true;
	CHECK_EQ(key_log_write(&l, &keys), 0);
	CHECK_EQ(key_log_write(&l, &keys), 0);
	key_log_close(&l);
	CHECK_STR(content(), "LOCAL_STA\n" BLOCK BLOCK);
}

static void refused(void)
{
	struct key_log l = KEY_LOG_NONE;
	cleanup(buf_done) struct buf lengthy = buf_of_max(4096), why = buf_of_max(1024);
	char target[128];

	snprintf(target, sizeof(target), "%s/open", dir);
	close(open(target, O_WRONLY | O_CREAT, 0600));
	CHECK_EQ(chmod(target, 0640), 0);
	CHECK_EQ(open_log("open", false, &l), -EPERM);
	CHECK(strstr(said, "may be opened by others") && strstr(said, path));
	CHECK_EQ(chmod(target, 0600), 0);
	snprintf(path, sizeof(path), "%s/link", dir);
	CHECK_EQ(symlink(target, path), 0);
	CHECK_EQ(open_log("link", false, &l), -ELOOP);
	CHECK(strstr(said, "symbolic link"));
	CHECK_EQ(open_log("link", true, &l), -ELOOP);
	CHECK_EQ(open_log(".", false, &l), -EISDIR);
	CHECK_EQ(open_log("\033[31mmissing/new", false, &l), -ENOENT);
	CHECK(strstr(said, "/?[31mmissing/new: No such") && !strchr(said, '\033'));
	memset(target, 'x', sizeof(target) - 1);
	target[sizeof(target) - 1] = '\0';
	for (unsigned i = 0; i < 20; i++)
		buf_puts(&lengthy, target);
	CHECK_EQ(key_log_open(buf_str(&lengthy), false, &l, &why), -ENAMETOOLONG);
	CHECK(strstr(buf_str(&why), "xxx: File name too long"));
	CHECK_EQ(open_log("missing/new", false, &l), -ENOENT);
	CHECK_EQ(key_log_open("/dev/null", false, &l, &(struct buf){.max = 0}), -EPERM);
	CHECK_EQ(l.fd, -1);
}

static void somebody_elses(void)
{
	struct key_log l = KEY_LOG_NONE;

	CHECK_EQ(open_log("his", false, &l), 0);
	key_log_close(&l);
	CHECK_EQ(chown(path, 12345, (gid_t)-1), 0);
	CHECK_EQ(open_log("his", false, &l), -EPERM);
	CHECK(strstr(said, "somebody else"));
	setenv("SUDO_UID", "12345", 1);
	CHECK_EQ(open_log("his", false, &l), 0);
	key_log_close(&l);
	setenv("SUDO_UID", "1234", 1);
	CHECK_EQ(open_log("his", false, &l), -EPERM);
	unsetenv("SUDO_UID");
}

static void nobody_reads(void)
{
	static char text[8 * sizeof(BLOCK)];
	struct key_log l;
	int r, n = 0, reader;

	snprintf(path, sizeof(path), "%s/pipe", dir);
	CHECK_EQ(mkfifo(path, 0600), 0);
	CHECK_EQ(open_log("pipe", true, &l), 0);
	CHECK_EQ(fcntl(l.fd, F_SETPIPE_SZ, 4096), 4096);
	while ((r = key_log_write(&l, &keys)) == 0)
		CHECK(n++ < 4096);
	CHECK_EQ(r, -EAGAIN);
	CHECK(n > 10 && !l.torn);
	/* Who comes later finds what fitted, whole. */
	reader = open(path, O_RDONLY | O_NONBLOCK);
	CHECK_EQ(read(reader, text, sizeof(BLOCK) - 1), sizeof(BLOCK) - 1);
	CHECK_STR(text, BLOCK);
	while (read(reader, text, sizeof(text)) > 0)
		;
	CHECK_EQ(key_log_write(&l, &keys), 0);
	close(reader);
	key_log_close(&l);
}

static void remove_all(void)
{
	static const char *const names[] = {"new", "torn", "open", "link", "his", "pipe", ""};

	for (size_t i = 0; i < array_size(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)remove(path);
	}
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	test_run("keys are in the words of Wireshark's key log [keylog-format]", words);
	test_run("they are appended to a file that is its owner's only [keylog-private]", appended);
	test_run("half a line spoils no other [keylog-append]", after_half_a_line);
	test_run("links, directories, devices and files that others may read are refused [keylog-private]", refused);
	if (geteuid() == 0)
		test_run("so are those of somebody else but who called sudo [keylog-private]", somebody_elses);
	else
		test_skip("so are those of somebody else but who called sudo", "takes root");
	test_run("a pipe that nobody reads takes what it can, and nothing waits [keylog-never-waits]", nobody_reads);
	remove_all();
	return test_done();
}
