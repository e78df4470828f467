#include "base/buf.h"

#include <errno.h>
#include <stdio.h>

#include "base/test.h"

/* The linker sends every free() of ours here (--wrap): of what is watched nothing may be left in it. */
void __real_free(void *p);
void __wrap_free(void *p);
static const uint8_t *watched;
static size_t watched_len, left;

void __wrap_free(void *p)
{
	if (p && p == watched)
		for (size_t i = 0; i < watched_len; i++)
			left += watched[i] != 0;
	__real_free(p);
}

static void watch(const struct buf *b, size_t len)
{
	watched = b->data;
	watched_len = len;
	left = 0;
}

static void grows(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(5000);

	for (int i = 0; i < 1000; i++)
		CHECK_EQ(buf_put(&b, "abcde", 5), 0);
	CHECK_EQ(b.len, 5000);
	for (int i = 0; i < 1000; i++)
		CHECK_MEM(b.data + 5 * i, "abcde", 5);
	CHECK(strlen(buf_str(&b)) == 5000); /* the NUL needs no room of its own */
	CHECK_EQ(b.error, 0);
}

static void keeps_its_maximum(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(10);

	CHECK_EQ(buf_put(&b, "0123456789", 10), 0);
	CHECK_EQ(buf_put(&b, "x", 1), -ENOBUFS);
	CHECK_EQ(b.len, 10);
	CHECK_MEM(b.data, "0123456789", 10);
	CHECK_EQ(buf_put(&b, "", 0), -ENOBUFS);
	CHECK_EQ(buf_printf(&b, "%d", 1), -ENOBUFS);
	CHECK_EQ(buf_put_hex(&b, "a", 1), -ENOBUFS);
	CHECK_STR(buf_str(&b), "");
	buf_clear(&b);
	CHECK_EQ(b.error, 0);
	CHECK_EQ(buf_printf(&b, "%s", "0123456789"), 0);
	CHECK_STR(buf_str(&b), "0123456789");
	buf_clear(&b);
	CHECK_EQ(buf_printf(&b, "%s", "0123456789a"), -ENOBUFS);
	CHECK_EQ(b.len, 0);
}

static void huge_sizes(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(SIZE_MAX);

	CHECK_EQ(buf_put(&b, "abc", 3), 0);
	CHECK(!buf_reserve(&b, SIZE_MAX - 2)); /* len + n wraps */
	CHECK_EQ(b.error, -ENOBUFS);
	buf_clear(&b);
	CHECK_EQ(buf_put_hex(&b, "abc", SIZE_MAX / 2 + 1), -ENOBUFS);
}

static void empty_maximum(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(0);

	CHECK_EQ(buf_put(&b, NULL, 0), 0);
	CHECK_STR(buf_str(&b), "");
	CHECK_EQ(buf_put(&b, "x", 1), -ENOBUFS);
}

static void hex_and_printable(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(100);

	buf_put_hex(&b, "\x00\x7f\xff\xa5", 4);
	CHECK_STR(buf_str(&b), "007fffa5");
	buf_clear(&b);
	buf_put_printable(&b, "a\n\x1b[2J\x7f\xc3\xa9\0z", 11);
	CHECK_STR(buf_str(&b), "a??[2J?\xc3\xa9?z");
	buf_clear(&b);
	buf_put_printable(&b, "\xc2\x9b" "2J\xc2\xa0\xe4\xb8\x9b\xc2", 10);
	CHECK_STR(buf_str(&b), "??2J\xc2\xa0\xe4\xb8\x9b\xc2");
}

static void drops_and_wipes(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(100);

	buf_puts(&b, "secret and rest");
	buf_drop_front(&b, 7);
	CHECK_STR(buf_str(&b), "and rest");
	CHECK_MEM(b.data + 8, "\0\0\0\0\0\0\0", 7);
	buf_drop_front(&b, 0);
	buf_drop_front(&b, 8);
	CHECK_EQ(b.len, 0);
	buf_puts(&b, "key material");
	buf_clear(&b);
	for (size_t i = 0; i < 12; i++)
		CHECK_EQ(b.data[i], 0);
}

/* Also what was written into a reserved place and never counted, and what is large. */
static void wipes_before_it_gives_back(void)
{
	struct buf b = buf_of_max(8 << 20);
	uint8_t *p;

	for (size_t n = 1000; n <= 2000000; n *= 2000) {
		p = buf_reserve(&b, n);
		CHECK(p);
		memset(p, 's', n);
		b.len += n / 2;
		watch(&b, n);
		CHECK(buf_reserve(&b, b.cap)); /* moves */
		CHECK_EQ(left, 0);
		memset(b.data, 's', n);
		buf_clear(&b);
		CHECK_EQ(b.len, 0);
		p = buf_reserve(&b, n);
		CHECK(p);
		memset(p, 's', n);
		watch(&b, n);
		buf_done(&b);
		CHECK_EQ(left, 0);
		watched = NULL;
	}
}

int main(void)
{
	test_run("a buffer grows and keeps what was put", grows);
	test_run("past its maximum a buffer refuses, remembers the error and keeps its contents "
		 "[buf-bounded]",
		keeps_its_maximum);
	test_run("sizes that would wrap are refused [buf-bounded]", huge_sizes);
	test_run("a buffer of maximum 0 holds nothing and works", empty_maximum);
	test_run("hex is lower case; control characters become question marks", hex_and_printable);
	test_run("what is dropped or cleared is wiped [buf-wiped]", drops_and_wipes);
	test_run("memory is wiped before it is given back, as far as it was used [buf-wiped]",
		wipes_before_it_gives_back);
	return test_done();
}
