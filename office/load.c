#include "office/load.h"

#include "base/protect.h"
#include "base/suggest.h"
#include "office/check.h"
#include "office/psk.h"
#include "office/settle.h"
#include "office/store.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define MESSAGES_MAX ((size_t)16 << 20)
#define ENDING ".net"
#define LOCK_ENDING ".lock"
#define PSK_ENDING ".psk"

static int path_beside(const char *path, const char *with, char ret[LOAD_PATH_MAX])
{
	size_t len = strlen(path), ending = sizeof(ENDING) - 1;

	if (len > ending && !strcmp(path + len - ending, ENDING))
		len -= ending;
	return snprintf(ret, LOAD_PATH_MAX, "%.*s%s", (int)len, path, with) >= LOAD_PATH_MAX ? -ENAMETOOLONG : 0;
}

int load_lock_path(const char *path, char ret[LOAD_PATH_MAX])
{
	return path_beside(path, LOCK_ENDING, ret);
}

static int read_office(enum dialect dialect, const char *path, struct office **ret)
{
	cleanup(buf_done) struct buf text = buf_of_max(OFFICE_TEXT_MAX + 1), errors = buf_of_max(MESSAGES_MAX);
	int r = store_read(path, &text);

	/* There is no lock before the first time. */
	if (r == -ENOENT && dialect == DIALECT_LOCK)
		return r;
	if (r < 0) {
		fprintf(stderr, "ginnel-office: cannot read %s: %s\n", path, r == -ENOBUFS ? "more than 4 MiB" : strerror(-r));
		return r;
	}
	r = office_read(dialect, path, (const char *)text.data, text.len, ret, &errors);
	fputs(buf_str(&errors), stderr);
	if (r == -ENOMEM)
		fprintf(stderr, "ginnel-office: %s: %s\n", path, strerror(ENOMEM));
	return r;
}

int load_with_lock(const char *path, struct office **ret, struct office **ret_lock, struct buf *warnings)
{
	cleanup(buf_done) struct buf errors = buf_of_max(MESSAGES_MAX);
	cleanup(office_freep) struct office *file = NULL, *lock = NULL, *o = NULL;
	char locked[LOAD_PATH_MAX];
	int r = load_lock_path(path, locked);

	if (r == 0)
		r = read_office(DIALECT_FILE, path, &file);
	if (r < 0)
		return r;
	r = read_office(DIALECT_LOCK, locked, &lock);
	if (r < 0 && r != -ENOENT)
		return r;
	r = settle(file, path, lock, locked, &o, &errors);
	if (r == 0 && !check(o, path, &errors, warnings))
		r = -EINVAL;
	fputs(buf_str(&errors), stderr);
	if (r == -ENOMEM)
		fprintf(stderr, "ginnel-office: %s: %s\n", path, strerror(ENOMEM));
	if (r < 0)
		return r;
	*ret = steal(o);
	*ret_lock = steal(lock);
	return 0;
}

int load_office(const char *path, struct office **ret)
{
	cleanup(buf_done) struct buf warnings = buf_of_max(MESSAGES_MAX);
	cleanup(office_freep) struct office *lock = NULL;

	return load_with_lock(path, ret, &lock, &warnings);
}

static int read_psks(const char *path, struct office *o, const struct office *lock)
{
	cleanup(buf_done) struct buf text = buf_of_max(OFFICE_TEXT_MAX), errors = buf_of_max(MESSAGES_MAX);
	int r = store_read_secret(path, &text);

	if (r == -ENOENT)
		return 0;
	if (r == -EPERM)
		fprintf(stderr, "ginnel-office: %s: others may read the pre-shared keys in it: chmod 600 it; or, where somebody may "
			"have read it, remove it, and export to everybody anew\n",
			path);
	else if (r < 0)
		fprintf(stderr, "ginnel-office: cannot read %s: %s\n", path, strerror(-r));
	if (r < 0)
		return r;
	r = psk_read(o, lock, path, (const char *)text.data, text.len, &errors);
	fputs(buf_str(&errors), stderr);
	if (r == -ENOMEM)
		fprintf(stderr, "ginnel-office: %s: %s\n", path, strerror(ENOMEM));
	return r;
}

static int write_psks(const char *path, struct office *o)
{
	cleanup(buf_done) struct buf text = buf_of_max(OFFICE_TEXT_MAX);
	int r = psk_make(o);

	if (r == 0)
		r = psk_write(o, &text);
	if (r == 0)
		r = store_write(path, 0600, &text);
	if (r > 0)
		fprintf(stderr, "ginnel-office: wrote %s: pre-shared keys, which are secret: keep it out of repositories\n", path);
	else if (r < 0)
		fprintf(stderr, "ginnel-office: cannot write %s: %s\n", path, strerror(-r));
	return min(r, 0);
}

/* The file is locked, and not its directory: that is where a laboratory has its own lock while it calls us. */
int load_hold(const char *path, int *ret)
{
	int r = store_lock(path, false, ret);

	if (r == -EWOULDBLOCK) {
		fprintf(stderr, "ginnel-office: another ginnel is at %s: waiting for it\n", path);
		r = store_lock(path, true, ret);
	}
	if (r < 0)
		fprintf(stderr, "ginnel-office: cannot read %s: %s\n", path, strerror(-r));
	return r;
}

/* Where the lock is, and with which mode it is kept. */
static int find_lock(const char *path, char ret[LOAD_PATH_MAX], mode_t *ret_mode)
{
	char target[PATH_MAX];
	struct stat st;
	int r = load_lock_path(path, ret);

	if (r < 0)
		return r;
	/* A link stays one: what it leads to is the lock, for others too. */
	if (lstat(ret, &st) == 0 && S_ISLNK(st.st_mode)) {
		if (!realpath(ret, target))
			return -errno;
		snprintf(ret, LOAD_PATH_MAX, "%s", target);
	}
	*ret_mode = stat(ret, &st) == 0 ? st.st_mode & 0777 : stat(path, &st) == 0 ? st.st_mode & 0666 : 0644;
	return 0;
}

static int pin(const char *path, const struct office *o, bool quiet)
{
	cleanup(buf_done) struct buf text = buf_of_max(OFFICE_TEXT_MAX);
	char locked[LOAD_PATH_MAX] = "the lock";
	mode_t mode = 0644;
	int r = find_lock(path, locked, &mode);

	if (r == 0)
		r = office_write(o, DIALECT_LOCK, &text);
	if (r == 0)
		r = store_write(locked, mode, &text);
	if (r > 0 && !quiet)
		fprintf(stderr, "ginnel-office: wrote %s: keep it beside %s\n", locked, path);
	else if (r < 0)
		fprintf(stderr, "ginnel-office: cannot write %s: %s\n", locked, strerror(-r));
	return min(r, 0);
}

int load_pin(const char *path, const struct office *o)
{
	return pin(path, o, false);
}

void load_given(const char *path, const struct member *m, uint64_t number)
{
	cleanup(office_freep) struct office *o = NULL;
	cleanup(close_fd) int held = -1;
	int r = load_hold(path, &held);

	if (r == 0)
		r = load_office(path, &o);
	for (size_t i = 0; r == 0 && i < o->n_members; i++)
		if (o->members[i].id == m->id && !o->members[i].gone)
			o->members[i].given = number;
	if (r == 0)
		r = pin(path, o, true);
	if (r < 0)
		fprintf(stderr, "ginnel-office: note: ginnel plan does not know that %s was exported\n", m->name);
}

int load_with_psks(const char *path, struct office **ret)
{
	cleanup(buf_done) struct buf warnings = buf_of_max(MESSAGES_MAX);
	cleanup(office_freep) struct office *o = NULL, *lock = NULL;
	char psks[LOAD_PATH_MAX];
	int r = load_with_lock(path, &o, &lock, &warnings);

	if (r == 0 && o->psk) {
		protect();
		r = path_beside(path, PSK_ENDING, psks);
		if (r == 0)
			r = read_psks(psks, o, lock);
		if (r == 0)
			r = write_psks(psks, o);
		if (r == 0)
			r = load_pin(path, o);
	}
	if (r == 0)
		*ret = steal(o);
	return r;
}

const struct member *load_member(const struct office *o, const char *name)
{
	const struct member *m = office_find(o, name);
	struct suggest s = suggest_for(name, strlen(name));
	cleanup(buf_done) struct buf why = buf_of_max(1024);

	if (m)
		return m;
	for (size_t i = 0; i < o->n_members; i++)
		if (!o->members[i].gone && o->members[i].kind != MEMBER_HOST)
			suggest_offer(&s, o->members[i].name);
	suggest_say(&s, "", &why);
	fprintf(stderr, "ginnel-office: there is no member %s%s\n", name, buf_str(&why));
	return NULL;
}
