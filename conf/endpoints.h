/*
 * conf/endpoints.h - what endpoints the file gave when it was applied last, by its own words:
 * /run/ginnel/NAME.endpoints.
 *
 * It tells an endpoint that the file changed from one that a peer changed by roaming, and says
 * which names are to be looked up again.  No secret is in it.
 */
#pragma once

#include "conf/file.h"

#define ENDPOINTS_DIR "/run/ginnel"

struct endpoint_row {
	uint8_t		public_key[KEY_LEN];
	struct endpoint	endpoint;
};

struct endpoint_rows {
	struct endpoint_row	*rows;	/* in the order of their keys */
	size_t			 n;
};

void endpoint_rows_done(struct endpoint_rows *r);

/* endpoints_parse(text, len, ret): -EBADMSG, with ${ret} as it was. */
int endpoints_parse(const char *text, size_t len, struct endpoint_rows *ret);
void endpoints_format(const struct conf_file *c, struct buf *ret);

/* endpoints_row(r, key): the row of this peer, or NULL. */
const struct endpoint_row *endpoints_row(const struct endpoint_rows *r, const uint8_t key[KEY_LEN]);

/*
 * endpoints_load(name, ret): false and empty rows where there is no file, or none that can be read.
 * endpoints_save(name, file): for the owner of the tunnel's socket to read.  0 or negative errno.
 * endpoints_remove(name).
 */
bool endpoints_load(const char *name, struct endpoint_rows *ret);
int endpoints_save(const char *name, const struct conf_file *file);
void endpoints_remove(const char *name);
