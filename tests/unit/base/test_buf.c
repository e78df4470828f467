#include "base/buf.h"

#include <errno.h>
#include <stdio.h>

#include "base/test.h"

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
	return test_done();
}
