#include "base/test.h"
#include "office/qr.h"

#include <errno.h>

#define ON "\033[38;5;16;48;5;231m"
#define OFF "\033[0m\n"

static void drawn(void)
{
	static uint8_t dark[] = {
		1, 0, 1,
		0, 1, 1,
		1, 1, 0,
	};
	const struct qr q = {.width = 3, .dark = dark};
	cleanup(buf_done) struct buf out = buf_of_max(1 << 12);

	qr_put(&q, &out);
	CHECK_STR(buf_str(&out),
		ON "           " OFF
		ON "           " OFF
		ON "    ▀▄█    " OFF
		ON "    ▀▀     " OFF
		ON "           " OFF
		ON "           " OFF);
	CHECK_EQ(qr_columns(&q), 11);
	CHECK_EQ(qr_lines(&q), 6);
}

/* Three corners have a square in a ring, and the fourth has not. */
static bool has_finder(const struct qr *q, unsigned row, unsigned column)
{
	for (unsigned i = 0; i < 7; i++)
		for (unsigned j = 0; j < 7; j++) {
			unsigned down = min(i, 6 - i), in = min(j, 6 - j);

			in = min(in, down);
			if (q->dark[(size_t)(row + i) * q->width + column + j] != (in != 1))
				return false;
		}
	return true;
}

static void encoded(void)
{
	cleanup(qr_done) struct qr q = {0};

	CHECK_EQ(qr_of("PrivateKey", 10, &q), 0);
	CHECK_EQ(q.width, 21);
	CHECK(has_finder(&q, 0, 0) && has_finder(&q, 0, 14) && has_finder(&q, 14, 0) && !has_finder(&q, 14, 14));
}

static void sizes(void)
{
	static const uint8_t data[QR_BYTES_MAX + 1];
	cleanup(qr_done) struct qr q = {0}, none = {0};
	cleanup(buf_done) struct buf out = buf_of_max(1 << 17);

	CHECK_EQ(qr_of(data, QR_BYTES_MAX, &q), 0);
	CHECK_EQ(q.width, 177);
	qr_put(&q, &out);
	CHECK_EQ(out.error, 0);
	CHECK_EQ(qr_of(data, QR_BYTES_MAX + 1, &none), -E2BIG);
	CHECK_EQ(qr_of(data, 0, &none), -E2BIG);
	CHECK(!none.dark);
}

int main(void)
{
	test_run("two modules are a character, black on white, in a margin of four [qr-matrix]", drawn);
	test_run("bytes become a code with its three finders [qr-matrix]", encoded);
	test_run("the largest code is drawn, and what no code holds is refused [qr-matrix]", sizes);
	return test_done();
}
