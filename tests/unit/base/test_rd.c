#include "base/rd.h"
#include "base/test.h"

static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void reads(void)
{
	struct rd r = rd_of(bytes, sizeof(bytes));

	CHECK_EQ(rd_u8(&r), 1);
	CHECK_EQ(rd_be16(&r), 0x0203);
	CHECK_EQ(rd_be32(&r), 0x04050607);
	CHECK_EQ(rd_le32(&r), 0x0b0a0908);
	CHECK_EQ(rd_left(&r), 4);
	CHECK(rd_bytes(&r, 4) == bytes + 11);
	CHECK(rd_at_end(&r));
	CHECK(!r.bad);
	CHECK(rd_bytes(&r, 0));
	CHECK(rd_at_end(&r));
	r = rd_of(bytes, 8);
	CHECK(rd_le64(&r) == 0x0807060504030201ULL);
}

static void sticky(void)
{
	for (size_t len = 0; len < 8; len++) {
		struct rd r = rd_of(bytes, len);
		uint8_t copy[4] = {0xff, 0xff, 0xff, 0xff};

		CHECK_EQ(rd_le64(&r), 0);
		CHECK(r.bad);
		CHECK(!rd_at_end(&r));
		CHECK_EQ(rd_left(&r), 0);
		/* There would be bytes left, but nothing is read after an error. */
		CHECK_EQ(rd_u8(&r), 0);
		rd_copy(&r, copy, 4);
		CHECK_MEM(copy, "\0\0\0\0", 4);
		CHECK(r.bad);
	}
}

static void huge(void)
{
	struct rd r = rd_of(bytes, 4);

	CHECK(!rd_bytes(&r, SIZE_MAX));
	CHECK(r.bad);
}

int main(void)
{
	test_run("integers are read in their byte order", reads);
	test_run("a read past the end gives zero and so does every read after it [rd-sticky]",
		sticky);
	test_run("a length near SIZE_MAX does not wrap [rd-sticky]", huge);
	return test_done();
}
