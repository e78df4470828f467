#include "office/qr.h"

#include <errno.h>
#include <qrencode.h>

/* Of the 256 colours those that no theme of a terminal changes. */
#define BLACK_ON_WHITE "\033[38;5;16;48;5;231m"
#define AS_BEFORE "\033[0m"

int qr_of(const void *data, size_t len, struct qr *ret)
{
	QRcode *code;
	size_t n;

	if (!len || len > QR_BYTES_MAX)
		return -E2BIG;
	code = QRcode_encodeData((int)len, data, 0, QR_ECLEVEL_L);
	if (!code)
		return errno == ERANGE ? -E2BIG : -ENOMEM;
	n = (size_t)code->width * (size_t)code->width;
	ret->width = (unsigned)code->width;
	ret->dark = malloc(n);
	for (size_t i = 0; ret->dark && i < n; i++)
		ret->dark[i] = code->data[i] & 1;
	explicit_bzero(code->data, n);
	QRcode_free(code);
	return ret->dark ? 0 : -ENOMEM;
}

void qr_done(struct qr *q)
{
	if (q->dark)
		explicit_bzero(q->dark, (size_t)q->width * q->width);
	free(q->dark);
	*q = (struct qr){0};
}

unsigned qr_columns(const struct qr *q)
{
	return q->width + 2 * QR_MARGIN;
}

unsigned qr_lines(const struct qr *q)
{
	return (qr_columns(q) + 1) / 2;
}

/* From 0 in the margin's corner; light beyond the code. */
static bool is_dark(const struct qr *q, unsigned row, unsigned column)
{
	row -= QR_MARGIN;
	column -= QR_MARGIN;
	return row < q->width && column < q->width && q->dark[(size_t)row * q->width + column];
}

void qr_put(const struct qr *q, struct buf *ret)
{
	static const char *const halves[2][2] = {{" ", "▄"}, {"▀", "█"}};

	for (unsigned line = 0; line < qr_lines(q); line++) {
		buf_puts(ret, BLACK_ON_WHITE);
		for (unsigned column = 0; column < qr_columns(q); column++)
			buf_puts(ret, halves[is_dark(q, 2 * line, column)][is_dark(q, 2 * line + 1, column)]);
		buf_puts(ret, AS_BEFORE "\n");
	}
}
