/*
 * The same bytes as file, lock and bundle, and the first half of them as the lock of the second: errors are lines for people, what is
 * read is written and read back to the same, what is settled stays so, and what passed the check has a plan for everybody in which no
 * prefix is at two peers.
 */
#include "fuzz/fuzz.h"

#include "office/check.h"
#include "office/psk.h"
#include "office/settle.h"
#include "office/show.h"

#include <errno.h>

static void check_lines(const struct buf *b)
{
	const char *at = (const char *)b->data, *end;

	for (size_t left = b->len; left; left -= (size_t)(end - at) + 1, at = end + 1) {
		end = memchr(at, '\n', left);
		MUST(end && !strncmp(at, "file:", 5) && fuzz_printable(at, (size_t)(end - at)));
	}
}

static struct office *read_text(enum dialect dialect, const char *text, size_t len)
{
	cleanup(buf_done) struct buf errors = buf_of_max(1 << 22);
	struct office *o = NULL;
	int r = office_read(dialect, "file", text, len, &o, &errors);

	MUST(r == 0 ? o && !errors.len : r == -EINVAL && !o && errors.len);
	check_lines(&errors);
	return o;
}

/* Write, read, write: twice the same. */
static void write_and_read(const struct office *o, enum dialect dialect)
{
	cleanup(buf_done) struct buf text = buf_of_max(1 << 22), again = buf_of_max(1 << 22);
	cleanup(office_freep) struct office *back = NULL;

	MUST(office_write(o, dialect, &text) == 0);
	back = read_text(dialect, buf_str(&text), text.len);
	MUST(back);
	MUST(office_write(back, dialect, &again) == 0);
	MUST(text.len == again.len && !memcmp(text.data, again.data, text.len));
}

static int by_prefix(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

static void check_plan(const struct office *o, const struct member *m)
{
	cleanup(plan_freep) struct plan *p = NULL;
	cleanup(free_ptr) struct prefix *all = NULL;
	size_t n = 0;

	MUST(plan_make(o, m, &p) == 0);
	for (size_t i = 0; i < p->n_peers; i++)
		n += p->peers[i].n_allowed;
	all = calloc(n + 1, sizeof(*all));
	MUST(all);
	n = 0;
	for (size_t i = 0; i < p->n_peers; i++)
		for (size_t j = 0; j < p->peers[i].n_allowed; j++)
			all[n++] = p->peers[i].allowed[j];
	qsort(all, n, sizeof(*all), by_prefix);
	for (size_t i = 1; i < n; i++)
		MUST(prefix_compare(&all[i - 1], &all[i]) != 0);
}

static void check_member(const struct office *o, const struct member *m)
{
	cleanup(office_freep) struct office *part = NULL;

	check_plan(o, m);
	MUST(settle_part(o, m, &part) == 0);
	MUST(office_find(part, m->name));
	check_plan(part, office_find(part, m->name));
	write_and_read(part, DIALECT_BUNDLE);
}

static void check_shown(const struct office *o, const struct office *lock)
{
	struct show show = {.o = o, .lock = lock, .name = "file", .lock_name = "lock"};
	cleanup(buf_done) struct buf words = buf_of_max(1 << 24), json = buf_of_max(1 << 24), dot = buf_of_max(1 << 22);

	MUST(show_words(&show, &words) == 0 && show_json(&show, &json) == 0 && show_dot(o, &dot) == 0);
}

/* Nothing moves any more. */
static void settle_again(const struct office *file, const struct office *o)
{
	cleanup(buf_done) struct buf text = buf_of_max(1 << 22), again = buf_of_max(1 << 22), errors = buf_of_max(1 << 20);
	cleanup(office_freep) struct office *same = NULL, *self = NULL;

	MUST(settle(file, "file", o, "lock", &same, &errors) == 0);
	MUST(office_write(o, DIALECT_LOCK, &text) == 0 && office_write(same, DIALECT_LOCK, &again) == 0);
	MUST(text.len == again.len && !memcmp(text.data, again.data, text.len));
	MUST(settle(o, "file", o, "lock", &self, &errors) == 0);
	buf_clear(&again);
	MUST(office_write(self, DIALECT_LOCK, &again) == 0);
	MUST(text.len == again.len && !memcmp(text.data, again.data, text.len));
}

static void check_settled(const struct office *file, const struct office *lock)
{
	cleanup(buf_done) struct buf errors = buf_of_max(1 << 22), warnings = buf_of_max(1 << 22);
	cleanup(office_freep) struct office *o = NULL;
	int r = settle(file, "file", lock, "lock", &o, &errors);
	bool good;

	MUST(r == 0 ? o && !errors.len : r == -EINVAL && errors.len);
	check_lines(&errors);
	if (r < 0)
		return;
	write_and_read(o, DIALECT_LOCK);
	good = check(o, "file", &errors, &warnings);
	MUST(good == !errors.len);
	check_lines(&errors);
	check_lines(&warnings);
	if (!good)
		return;
	settle_again(file, o);
	MUST(!o->psk || psk_make(o) == 0);
	for (size_t i = 0; i < o->n_by_name; i++)
		if (o->by_name[i]->kind != MEMBER_HOST)
			check_member(o, o->by_name[i]);
	check_shown(o, lock);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup(free_ptr) char *bytes = NULL, *second = NULL;
	const uint8_t *middle;

	if (len > 4096)
		return 0;
	bytes = fuzz_copy(data, len);
	enum_each (&dialect_enum, d) {
		cleanup(office_freep) struct office *o = read_text((enum dialect)d->value, bytes, len);

		if (!o)
			continue;
		check_settled(o, NULL);
		if (d->value == DIALECT_LOCK)
			check_settled(o, o);
	}
	/* A lock, a line of two dashes, a file. */
	middle = memmem(data, len, "\n--\n", 4);
	if (middle) {
		size_t n = (size_t)(middle - data) + 1, rest = len - n - 3;
		cleanup(office_freep) struct office *lock = read_text(DIALECT_LOCK, bytes, n), *file = NULL;

		second = fuzz_copy(middle + 4, rest);
		file = read_text(DIALECT_FILE, second, rest);
		if (file && lock)
			check_settled(file, lock);
	}
	return 0;
}
