/*
 * conf/text.h - keys, prefixes and endpoints as people write them.
 *
 * Pure.  Parsers take text of a length, without blanks around it, and leave their result untouched
 * when they fail.
 */
#pragma once

#include "base/buf.h"
#include "base/key_text.h"

#include <netinet/in.h>

struct prefix {
	uint8_t	family;		/* AF_INET, AF_INET6 */
	uint8_t	bits;
	uint8_t	bytes[16];
};

/* text_put_key(key, ret): append it in base64. */
void text_put_key(const uint8_t key[KEY_LEN], struct buf *ret);
/* text_hex_key(text, len, ret): 64 digits.  -EINVAL. */
int text_hex_key(const char *text, size_t len, uint8_t ret[KEY_LEN]);

/*
 * text_prefix(text, len, ret): "10.0.0.1/24", "fd00::/64", or an address alone for all of its bits.
 * Bits behind the prefix are kept: prefix_mask() clears them.  -EINVAL.
 */
int text_prefix(const char *text, size_t len, struct prefix *ret);
void text_put_prefix(const struct prefix *p, struct buf *ret);
void prefix_mask(struct prefix *p);
int prefix_compare(const struct prefix *a, const struct prefix *b);

/* text_number(text, len, most, ret): decimal, or hex behind 0x.  -EINVAL, -ERANGE: above ${most}. */
int text_number(const char *text, size_t len, uint64_t most, uint64_t *ret);

/* "host:port", "192.0.2.1:51820", "[2001:db8::1]:51820", "[fe80::1%eth0]:51820". */
#define ENDPOINT_HOST_MAX 255
struct endpoint {
	char		host[ENDPOINT_HOST_MAX + 1];	/* "": none */
	uint16_t	port;
	bool		is_name;			/* no address, but a name to be resolved */
};

/* text_endpoint(text, len, ret): -EINVAL with a clause appended to ${why}. */
int text_endpoint(const char *text, size_t len, struct endpoint *ret, struct buf *why);
void text_put_endpoint(const struct endpoint *e, struct buf *ret);

/*
 * text_put_address(a, ret): "192.0.2.1:51820", "[2001:db8::1]:51820", "[fe80::1%3]:51820", as the
 * daemon reads and writes it.
 */
void text_put_address(const struct sockaddr_storage *a, struct buf *ret);
