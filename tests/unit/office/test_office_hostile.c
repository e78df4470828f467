/* Files that nobody writes: they are refused or read, end in bounded time, and say no more than can be read. */
#include "tests/unit/office/office.h"

#include "office/check.h"
#include "office/plan.h"

#include <errno.h>

#define TEXT_MAX (OFFICE_TEXT_MAX + 4096)

static size_t count_lines(const struct buf *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->len; i++)
		n += b->data[i] == '\n';
	return n;
}

static bool is_printable(const struct buf *b)
{
	for (size_t i = 0; i < b->len; i++)
		if ((b->data[i] < ' ' && b->data[i] != '\n') || b->data[i] == 0x7f)
			return false;
	return true;
}

/* Refused by all dialects, with so many lines at most. */
static void refused(const struct buf *text, size_t lines)
{
	enum_each (&dialect_enum, d) {
		cleanup(buf_done) struct buf said = buf_of_max(1 << 20);
		struct office *o = NULL;

		CHECK(!text->error);
		CHECK_EQ(office_read((enum dialect)d->value, "x", (const char *)text->data, text->len, &o, &said), -EINVAL);
		CHECK(!o && said.len && !said.error);
		CHECK(count_lines(&said) <= lines && is_printable(&said));
	}
}

static void fill(struct buf *b, const char *piece, size_t most)
{
	size_t len = strlen(piece);

	while (b->len + len <= most)
		buf_put(b, piece, len);
}

static void large(void)
{
	static const char *const pieces[] = {"a node 10.1.0.0/24\n", "x\n", "\n\n\n\x01\n", "a host b .1\n", "net net net\n",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa persom\n", "z hub z.example.com prots 1 \n"};

	for (size_t i = 0; i < array_size(pieces); i++) {
		cleanup(buf_done) struct buf text = buf_of_max(TEXT_MAX);

		fill(&text, pieces[i], OFFICE_TEXT_MAX);
		refused(&text, OFFICE_ERRORS_MAX + 1);
		fill(&text, pieces[i], TEXT_MAX);
		refused(&text, 1);
	}
}

static void long_lines(void)
{
	static const char *const pieces[] = {"a", " a", " mtu", " mtu 1400", ".1", "1,", "::", "[", "\xff", "a b c \t\r"};
	static const char *const heads[] = {"", "z hub ", "a node 10.1.0.0/24 ", "b host a ", "e person ", "net ", "z hub z ports "};

	for (size_t i = 0; i < array_size(heads); i++)
		for (size_t j = 0; j < array_size(pieces); j++) {
			cleanup(buf_done) struct buf text = buf_of_max(TEXT_MAX);

			buf_puts(&text, heads[i]);
			fill(&text, pieces[j], 200000);
			refused(&text, OFFICE_ERRORS_MAX + 1);
		}
}

static void zeros(void)
{
	cleanup(buf_done) struct buf text = buf_of_max(TEXT_MAX), one = buf_of_max(TEXT_MAX);
	uint8_t *room = buf_reserve(&text, OFFICE_TEXT_MAX);

	CHECK(room);
	memset(room, 0, OFFICE_TEXT_MAX);
	text.len = OFFICE_TEXT_MAX;
	refused(&text, 8);
	buf_put(&one, "e person\0\n", 10);
	refused(&one, 8);
}

static void no_bytes(void)
{
	struct buf none = buf_of_max(16);
	cleanup(buf_done) struct buf said = buf_of_max(1 << 16);
	cleanup(office_freep) struct office *o = NULL;

	/* A file of nothing is one of no members, of which check() says that there is no hub. */
	CHECK_EQ(office_read(DIALECT_FILE, "x", NULL, 0, &o, &said), 0);
	CHECK_EQ(o->n_members, 0);
	CHECK_EQ(office_read(DIALECT_LOCK, "x", (const char *)none.data, 0, &o, &said), -EINVAL);
}

static void ten_thousand(void)
{
	cleanup(buf_done) struct buf text = buf_of_max(OFFICE_TEXT_MAX), lock_text = buf_of_max(OFFICE_TEXT_MAX),
				     said = buf_of_max(1 << 20), warned = buf_of_max(1 << 24);
	cleanup(office_freep) struct office *o = NULL, *lock = NULL, *again = NULL;
	cleanup(plan_freep) struct plan *p = NULL;

	buf_puts(&text, "z hub z.example.com\naliases 11.0.0.0/8\n");
	for (unsigned i = 1; i < OFFICE_MEMBERS_MAX; i++)
		if (i % 2)
			buf_printf(&text, "n%u node 172.%u.%u.%u/28\n", i, 16 + i / 4096, i / 16 % 256, i % 16 * 16);
		else
			buf_printf(&text, "h%u host n%u 172.%u.%u.%u\n", i, i - 1, 16 + (i - 1) / 4096, (i - 1) / 16 % 256,
				(i - 1) % 16 * 16 + 5);
	o = settle_text(buf_str(&text), NULL);
	check(o, "x", &said, &warned);
	CHECK_STR(buf_str(&said), "");
	CHECK_EQ(plan_make(o, o->hub, &p), 0);
	CHECK_EQ(p->n_peers, OFFICE_MEMBERS_MAX / 2);
	write_text(o, DIALECT_LOCK, &lock_text);
	lock = read_text(DIALECT_LOCK, buf_str(&lock_text));
	again = settle_text(buf_str(&text), lock);
	CHECK_EQ(again->next_id, OFFICE_MEMBERS_MAX + 1);
	buf_puts(&text, "one person\nmore person\n");
	buf_clear(&said);
	CHECK_EQ(office_read(DIALECT_FILE, "x", buf_str(&text), text.len, &lock, &said), -EINVAL);
	CHECK_STR(buf_str(&said), "x:10002:1: more than 10000 members\n");
}

int main(void)
{
	test_run("files of 4 MiB and more of what is wrong are refused, with bounded words [office-hostile]", large);
	test_run("lines without end are refused [office-hostile]", long_lines);
	test_run("zero bytes are refused [office-hostile]", zeros);
	test_run("a file of nothing has no members [office-hostile]", no_bytes);
	test_run("10,000 members are settled, checked and planned, and one more is refused [office-hostile]", ten_thousand);
	return test_done();
}
