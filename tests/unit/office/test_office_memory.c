/* Reader, settling, checking and planning, with every allocation made to fail in turn. */
#include "tests/unit/no_memory.h"
#include "tests/unit/office/office.h"

#include "office/check.h"
#include "office/plan.h"
#include "office/psk.h"

#include <errno.h>
#include <stdio.h>

#define MORE                                                                                       \
	"g node 10.1.7.0/24 return route+gw gw .1 at .2 if eth1 mtu 1380\n"                        \
	"h host g 10.1.7.7\n"                                                                      \
	"psk on\n"
#define WRONG                                                                                      \
	"z hbu z.example.com\n"                                                                    \
	"a node 192.168.201.0/24 retrun snat\n"                                                    \
	"b host q .55\n"                                                                           \
	"b host a .55\n"

#define LOCK_MAX ((size_t)1 << 16)

/* What is there with all the memory that it takes: the lock, and the plan of each member. */
static char lock_text[LOCK_MAX], plans_text[LOCK_MAX];
static bool known;

/* Texts that the test itself keeps, and their memory, are no part of what is tried. */
static long pause_failing(void)
{
	long left = until_failure;

	until_failure = -1;
	return left;
}

static void same(char *want, struct buf *got)
{
	long left = pause_failing();

	if (!known)
		snprintf(want, LOCK_MAX, "%s", buf_str(got));
	CHECK_STR(buf_str(got), want);
	until_failure = left;
}

static void put_plan(const struct plan *p, struct buf *ret)
{
	buf_printf(ret, "%s %u %u %d\n", p->self->name, p->listen_port, p->mtu, (int)p->mode);
	for (size_t i = 0; i < p->n_peers; i++)
		for (size_t j = 0; j < p->peers[i].n_allowed; j++) {
			buf_printf(ret, "%s ", p->peers[i].member->name);
			text_put_prefix(&p->peers[i].allowed[j], ret);
		}
	for (size_t i = 0; i < p->n_routes; i++) {
		buf_printf(ret, "\n%u ", p->routes[i].table);
		text_put_prefix(&p->routes[i].to, ret);
	}
}

static bool no_memory(int r, const void *left)
{
	if (!r)
		return false;
	CHECK_EQ(r, -ENOMEM);
	CHECK(!left);
	return true;
}

/* The plan of each member, of its part. */
static bool plan_all(const struct office *o, struct buf *ret)
{
	for (size_t i = 0; i < o->n_members; i++) {
		cleanup(buf_done) struct buf text = buf_of_max(LOCK_MAX), errors = buf_of_max(LOCK_MAX);
		cleanup(office_freep) struct office *part = NULL, *back = NULL;
		cleanup(plan_freep) struct plan *p = NULL;
		long left;

		if (o->members[i].kind == MEMBER_HOST)
			continue;
		if (no_memory(settle_part(o, &o->members[i], &part), part))
			return false;
		if (no_memory(plan_make(part, office_find(part, o->members[i].name), &p), p))
			return false;
		if (office_write(part, DIALECT_BUNDLE, &text)) {
			CHECK_EQ(text.error, -ENOMEM);
			return false;
		}
		if (no_memory(office_read(DIALECT_BUNDLE, "x", (const char *)text.data, text.len, &back, &errors), back))
			return false;
		CHECK_EQ(!office_find(back, o->members[i].name)->psk, !o->members[i].psk);
		left = pause_failing();
		put_plan(p, ret);
		until_failure = left;
	}
	return true;
}

static void office_once(void)
{
	static const char text[] = NAMES MORE;
	cleanup(buf_done) struct buf errors = buf_of_max(LOCK_MAX), warnings = buf_of_max(LOCK_MAX), lock = buf_of_max(LOCK_MAX),
				     plans = buf_of_max(LOCK_MAX);
	cleanup(office_freep) struct office *file = NULL, *o = NULL, *again = NULL, *settled = NULL;
	int r;

	if (no_memory(office_read(DIALECT_FILE, "x", text, strlen(text), &file, &errors), file) ||
		no_memory(settle(file, "x", NULL, "x.lock", &o, &errors), o))
		return;
	if (!check(o, "x", &errors, &warnings)) {
		CHECK(failures);
		return;
	}
	r = office_write(o, DIALECT_LOCK, &lock);
	if (r) {
		CHECK_EQ(r, -ENOMEM);
		return;
	}
	same(lock_text, &lock);
	if (no_memory(office_read(DIALECT_LOCK, "x.lock", (const char *)lock.data, lock.len, &again, &errors), again) ||
		no_memory(settle(file, "x", again, "x.lock", &settled, &errors), settled))
		return;
	CHECK_EQ(settled->next_id, o->next_id);
	if (no_memory(psk_make(settled), NULL))
		return;
	if (plan_all(settled, &plans))
		same(plans_text, &plans);
}

static unsigned lines_of(const struct buf *b)
{
	unsigned n = 0;

	for (size_t i = 0; i < b->len; i++)
		n += b->data[i] == '\n';
	return n;
}

/* What is wrong is told, if without "did you mean", or it is said that there was no memory. */
static void wrong_once(void)
{
	static const char text[] = WRONG;
	cleanup(buf_done) struct buf errors = buf_of_max(LOCK_MAX);
	cleanup(office_freep) struct office *o = NULL;
	int r = office_read(DIALECT_FILE, "x", text, strlen(text), &o, &errors);

	CHECK(!o);
	if (r == -EINVAL && !errors.error)
		CHECK_EQ(lines_of(&errors), 4);
	else
		CHECK(failures && (r == -ENOMEM || errors.error == -ENOMEM));
}

static void office(void)
{
	known = false;
	office_once();
	known = true;
	CHECK(strlen(lock_text) > 500 && strlen(plans_text) > 500);
	each_failure(office_once);
}

static void wrong(void)
{
	wrong_once();
	each_failure(wrong_once);
}

int main(void)
{
	test_run("an office is read, settled, checked and planned as ever, or there is no memory for it [office-no-memory]", office);
	test_run("all that is wrong is told, or there is no memory for it [office-no-memory]", wrong);
	return test_done();
}
