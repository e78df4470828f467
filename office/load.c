#include "office/load.h"

#include "base/suggest.h"
#include "office/check.h"
#include "office/settle.h"
#include "office/store.h"

#include <errno.h>
#include <stdio.h>

#define MESSAGES_MAX ((size_t)16 << 20)
#define ENDING ".net"
#define LOCK_ENDING ".lock"

int load_lock_path(const char *path, char ret[LOAD_PATH_MAX])
{
	size_t len = strlen(path), ending = sizeof(ENDING) - 1;

	if (len > ending && !strcmp(path + len - ending, ENDING))
		len -= ending;
	return snprintf(ret, LOAD_PATH_MAX, "%.*s" LOCK_ENDING, (int)len, path) >= LOAD_PATH_MAX ? -ENAMETOOLONG : 0;
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

int load_pin(const char *path, const struct office *o)
{
	cleanup(buf_done) struct buf text = buf_of_max(OFFICE_TEXT_MAX);
	char locked[LOAD_PATH_MAX];
	int r = load_lock_path(path, locked);

	if (r == 0)
		r = office_write(o, DIALECT_LOCK, &text);
	if (r == 0)
		r = store_write(locked, 0644, &text);
	if (r > 0)
		fprintf(stderr, "ginnel-office: wrote %s: keep it beside %s\n", locked, path);
	else if (r < 0)
		fprintf(stderr, "ginnel-office: cannot write %s: %s\n", locked, strerror(-r));
	return min(r, 0);
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
