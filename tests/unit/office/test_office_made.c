/* Notes of what up made: settings are files in a directory of the test's, the notes a text in memory. */
#include "tests/unit/office/office.h"

#include "base/log.h"
#include "office/made.h"
#include "office/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int __wrap_store_read(const char *path, struct buf *ret);
int __wrap_store_write(const char *path, mode_t mode, const struct buf *text);
int __wrap_store_remove(const char *path);

static struct audit told;
static char notes[8192], notes_path[PATH_MAX];
static bool is_there;
static int writing;		/* what it says: 0, or negative errno */
static char dir[64];
static char at_writing[32];	/* the value of the setting "one" then */

static void value_of(const char *name, char ret[32])
{
	char path[128] = "";
	cleanup(close_fd) int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, ret, 31);
	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

static void put_value(const char *name, const char *value)
{
	char path[128];
	cleanup(close_fd) int fd = -1;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, value, strlen(value)), strlen(value));
}

int __wrap_store_read(const char *path, struct buf *ret)
{
	CHECK_STR(path, "/run/ginnel/wg9.made");
	if (!is_there)
		return -ENOENT;
	buf_puts(ret, notes);
	return ret->error;
}

int __wrap_store_write(const char *path, mode_t mode, const struct buf *text)
{
	CHECK_EQ(mode, 0600);
	value_of("one", at_writing);
	if (writing < 0)
		return writing;
	snprintf(notes_path, sizeof(notes_path), "%s", path);
	snprintf(notes, sizeof(notes), "%.*s", (int)text->len, (const char *)text->data);
	is_there = true;
	return 1;
}

int __wrap_store_remove(const char *path)
{
	snprintf(notes_path, sizeof(notes_path), "%s", path);
	is_there = false;
	return 0;
}

/* The setting NAME of the test, as a path below /proc/sys. */
static const char *setting(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "../..%s/%s", dir, name);
	return path;
}

static void begin(void)
{
	snprintf(dir, sizeof(dir), "/tmp/ginnel-made.XXXXXX");
	CHECK(mkdtemp(dir));
	is_there = false;
	writing = 0;
	put_value("one", "0\n");
	put_value("two", "5\n");
}

static void end(void)
{
	char path[128];

	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, i ? "one" : "two");
		unlink(path);
	}
	CHECK_EQ(rmdir(dir), 0);
}

static void says(const char *name, const char *want)
{
	char value[32];

	value_of(name, value);
	CHECK_STR(value, want);
}

static void nothing(void)
{
	cleanup(made_done) struct made m;

	is_there = false;
	CHECK_EQ(made_load("wg9", &m), 0);
	CHECK(!m.link && !m.n_settings);
	CHECK_STR(m.path, "/run/ginnel/wg9.made");
	is_there = true;
	CHECK_EQ(made_forget(&m), 0);
	CHECK(!is_there);
	CHECK_STR(notes_path, m.path);
}

static void round_trip(void)
{
	cleanup(made_done) struct made m = {.link = false}, again = {.link = false};

	begin();
	CHECK_EQ(made_load("wg9", &m), 0);
	m.link = true;
	CHECK_EQ(made_save(&m), 0);
	CHECK_EQ(made_load("wg9", &again), 0);
	CHECK(again.link && !again.ifindex && !again.flows);
	m.ifindex = 12;
	m.flows = true;
	CHECK_EQ(made_set(&m, setting("one"), "1", &told), 0);
	CHECK_EQ(made_set(&m, setting("two"), "6", &told), 0);
	made_done(&again);
	CHECK_EQ(made_load("wg9", &again), 0);
	CHECK(again.link && again.ifindex == 12 && again.flows && again.n_settings == 2);
	CHECK_STR(again.settings[0].before, "0");
	CHECK_STR(again.settings[0].ours, "1");
	CHECK_STR(again.settings[1].path, setting("two"));
	CHECK_STR(again.settings[1].before, "5");
	/* Another program undoes what this one did. */
	CHECK_EQ(made_restore(&again), 0);
	says("one", "0");
	says("two", "5");
	end();
}

static void written_first(void)
{
	cleanup(made_done) struct made m = {.link = false};

	begin();
	CHECK_EQ(made_load("wg9", &m), 0);
	CHECK_EQ(made_set(&m, setting("one"), "0", &told), 0);
	CHECK(!is_there && !m.n_settings);
	CHECK_EQ(made_set(&m, setting("one"), "1", &told), 0);
	CHECK_STR(at_writing, "0");
	says("one", "1");
	/* Somebody changes it, and so do we again: what it was first is what down brings back. */
	put_value("one", "7\n");
	CHECK_EQ(made_set(&m, setting("one"), "1", &told), 0);
	CHECK_EQ(m.n_settings, 1);
	CHECK_EQ(made_restore(&m), 0);
	says("one", "0");
	end();
}

static void no_room(void)
{
	cleanup(made_done) struct made m = {.link = false};

	begin();
	writing = -ENOSPC;
	CHECK_EQ(made_load("wg9", &m), 0);
	CHECK_EQ(made_set(&m, setting("one"), "1", &told), -ENOSPC);
	says("one", "0");
	CHECK_EQ(made_set(&m, setting("three"), "1", &told), -ENOENT);
	end();
}

static void others_stay(void)
{
	cleanup(made_done) struct made m = {.link = false};
	char path[128];

	begin();
	CHECK_EQ(made_load("wg9", &m), 0);
	CHECK_EQ(made_set(&m, setting("one"), "1", &told), 0);
	CHECK_EQ(made_set(&m, setting("two"), "6", &told), 0);
	put_value("one", "2\n");
	snprintf(path, sizeof(path), "%s/two", dir);
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(made_restore(&m), 0);
	says("one", "2");
	end();
}

static void foreign(void)
{
	static const char *const wrong[] = {"", "ginnel-made 2\n", "ginnel-made 1\nlnk 3\n", "ginnel-made 1\nlink x\n", "ginnel-made 1\nlink -1\n",
		"ginnel-made 1\nlink 99999999999\n", "ginnel-made 1\nset net/ipv4/x 0\n", "ginnel-made 1\nset\n", "ginnel-made 1\n\n"};

	is_there = true;
	for (size_t i = 0; i < array_size(wrong); i++) {
		cleanup(made_done) struct made m;

		snprintf(notes, sizeof(notes), "%s", wrong[i]);
		CHECK_EQ(made_load("wg9", &m), -EBADMSG);
	}
}

int main(void)
{
	log_open("test", LOG_LEVEL_SILENT);
	test_run("where nothing was made there are no notes, and forgetting removes them [office-notes]", nothing);
	test_run("notes are read back, and what they say is undone [office-notes]", round_trip);
	test_run("a setting is noted before it is changed, with what it was at first [office-notes]", written_first);
	test_run("where the note cannot be kept nothing is changed [office-notes]", no_room);
	test_run("what somebody else has set since, or is gone, stays so [office-notes]", others_stay);
	test_run("what are no notes is refused [office-notes]", foreign);
	return test_done();
}
