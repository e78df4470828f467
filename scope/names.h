/*
 * scope/names.h - what people call their peers: from the comments of the tunnel's file.
 *
 * A comment of one or a few words on the line before or after "[Peer]", "# laptop" or
 * "# Name = laptop", names the peer.  Who has no name there is called by his key: "TT65...1wo".
 */
#pragma once

#include "base/buf.h"
#include "base/key_text.h"

#define NAME_MAX_LEN 40

struct names;

/* names_new(ret): knows nobody yet. */
int names_new(struct names **ret);
void names_free(struct names *n);
static inline void names_freep(struct names **n)
{
	if (*n)
		names_free(*n);
}

/* names_read(n, text, len): from a file in the format of wg-quick(8), whatever its errors.  0 or -ENOMEM. */
int names_read(struct names *n, const char *text, size_t len);

/* names_load(n, tunnel): from /etc/wireguard/TUNNEL.conf if it can be read.  0 or -ENOMEM. */
int names_load(struct names *n, const char *tunnel);

/* names_of(n, public_key, ret): at most NAME_MAX_LEN printable bytes.  True: the file has a name for it. */
bool names_of(const struct names *n, const uint8_t public_key[KEY_LEN], char ret[NAME_MAX_LEN + 1]);

/*
 * names_find(n, who, ret): the peer called ${who}, or whose public key it is.  0; -ENOENT;
 * -EEXIST: several are called so.
 */
int names_find(const struct names *n, const char *who, uint8_t ret[KEY_LEN]);

/*
 * names_each(n, each, arg): call ${each} with every address that is one named peer's alone: family 4
 * or 6.
 */
void names_each(const struct names *n,
	void (*each)(void *arg, unsigned family, const uint8_t *address, const char *name), void *arg);
