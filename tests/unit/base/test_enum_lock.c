/* tests/enum.lock: the names and numbers that others rely on neither change nor go. */
#include <errno.h>
#include <stdio.h>

#include "base/test.h"
#include "cli/show_enum.h"
#include "cli/types.h"

#define LOCK SOURCE_ROOT "/tests/enum.lock"

static struct buf locked = {.max = 1 << 20}, ours = {.max = 1 << 20};

static void read_lock(void)
{
	char chunk[4096];
	size_t n;
	FILE *f = fopen(LOCK, "r");

	if (!f) {
		test_note("%s: %s", LOCK, strerror(errno));
		return;
	}
	while ((n = fread(chunk, 1, sizeof(chunk), f)))
		buf_put(&locked, chunk, n);
	fclose(f);
}

/* ${line} (without newline) is a line of ${text}. */
static bool has_line(const char *text, const char *line, size_t len)
{
	for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
		if (strcspn(text, "\n") == len && !memcmp(text, line, len))
			return true;
	return false;
}

/* Every line of ${a} is in ${b}; says which are not, after ${what}. */
static bool within(const char *a, const char *b, const char *what)
{
	bool all = true;

	while (*a) {
		size_t len = strcspn(a, "\n");

		if (!has_line(b, a, len)) {
			test_note("%s: %.*s", what, (int)len, a);
			all = false;
		}
		a += len + (a[len] == '\n');
	}
	return all;
}

static void nothing_changed(void)
{
	CHECK(locked.len > 0);
	CHECK(within(buf_str(&locked), buf_str(&ours),
		"changed or removed, and others rely on it; put it back"));
}

static void nothing_unlocked(void)
{
	CHECK(within(buf_str(&ours), buf_str(&locked),
		"new; if it is right: build/bin/ginnel enum lock >tests/enum.lock; missing"));
}

static void all_declared(void)
{
	/* Declarations in headers, as the preprocessor's input has them. */
	FILE *p =
		popen("cd '" SOURCE_ROOT "' && cat */*.h | sed -n "
		      "'s/^\\(ENUM\\|FLAGS\\)_DECLARE\\(_ALIASES\\)\\?(\\([a-z_0-9]*\\),.*/\\3/p'",
			"r");
	char name[100];
	unsigned declared = 0, absent = 0;

	CHECK(p);
	while (fscanf(p, "%99s", name) == 1) {
		bool found = false;

		for (size_t i = 0; i < cli_n_types; i++)
			found |= !strcmp(cli_types[i].type->name, name);
		if (!found)
			test_note("%s is declared in a header: give it a row in cli/types.c", name);
		declared++;
		absent += !found;
	}
	CHECK_EQ(pclose(p), 0);
	CHECK_EQ(absent, 0);
	CHECK_EQ(declared, cli_n_types);
}

static void well_formed(void)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-+";

	for (size_t t = 0; t < cli_n_types; t++) {
		const struct enum_type *type = cli_types[t].type;

		CHECK(t == 0 || strcmp(cli_types[t - 1].type->name, type->name) < 0);
		enum_each (type, m) {
			int64_t v;

			CHECK(*m->name && m->doc);
			CHECK_EQ(strspn(m->name, allowed), strlen(m->name));
			/* A name twice would find the first only. */
			CHECK_EQ(enum_value(type, m->name, &v), 0);
			CHECK_EQ(v, m->value);
		}
		for (size_t i = 0; i < type->n_aliases; i++) {
			int64_t v;

			CHECK_EQ(enum_value(type, type->aliases[i].name, &v), 0);
			CHECK_EQ(v, type->aliases[i].value);
		}
	}
}

static void comparison_works(void)
{
	CHECK(within("a=1=x\nb=2=y\n", "b=2=y\nc=3=z\na=1=x\n", "#"));
	CHECK(!within("a=1=x\n", "a=1=xx\na=1=\n", "expected"));
	CHECK(!within("a=1=x", "", "expected"));
}

int main(void)
{
	read_lock();
	show_enum_lock(&ours);
	test_run("no locked name or number has changed or gone [enum-lock]", nothing_changed);
	test_run("every public name and number is locked [enum-lock]", nothing_unlocked);
	test_run("every enumeration that a header declares is in \"ginnel enum list\" [enum-list]",
		all_declared);
	test_run("names are plain and none is there twice [enum-list]", well_formed);
	test_run("the comparison sees a change", comparison_works);
	buf_done(&ours);
	buf_done(&locked);
	return test_done();
}
