/*
 * office/qr.h - bytes as a QR code, for the camera of a telephone before a terminal.
 *
 * Pure.  Half a character is a module, black on white whatever colours the terminal has, with the
 * margin of four modules that readers ask for.
 */
#pragma once

#include "base/buf.h"

#define QR_MARGIN 4
#define QR_BYTES_MAX 2953	/* in the largest code, with the least redundancy */

struct qr {
	unsigned	 width;		/* modules of a side */
	uint8_t		*dark;		/* ${width} rows of as many: 1, or 0 for light */
};

/* qr_of(data, len, ret): -E2BIG: no code holds that much; -ENOMEM. */
int qr_of(const void *data, size_t len, struct qr *ret);
/* qr_done(q): wipes. */
void qr_done(struct qr *q);

/* qr_put(q, ret): append its lines. */
void qr_put(const struct qr *q, struct buf *ret);

/* qr_columns(q), qr_lines(q): what it takes of a terminal. */
unsigned qr_columns(const struct qr *q);
unsigned qr_lines(const struct qr *q);
