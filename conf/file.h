/*
 * conf/file.h - a tunnel's configuration in the format of wg-quick(8).
 *
 * Reads bytes and opens no file.  All errors are reported at once, a line each,
 * "FILE:LINE:COLUMN: what is wrong".  What the file asks for and the loader does not do (run
 * commands, set name servers, save) is an error too, unless the caller lists it as known.
 */
#pragma once

#include "base/enum.h"
#include "conf/text.h"

/* What a file may ask for and nobody here does. */
#define CONF_LEFT_LIST(X)                                                                          \
	X(CONF_LEFT_HOOKS, 1, "hooks", "the commands PreUp, PostUp, PreDown, PostDown")            \
	X(CONF_LEFT_DNS, 2, "dns", "name servers and search domains")                              \
	X(CONF_LEFT_SAVE, 4, "save", "SaveConfig: writing the file when the tunnel goes down")
FLAGS_DECLARE(conf_left, CONF_LEFT_LIST);

#define CONF_TABLE_OFF 0u		/* no routes */
#define CONF_TABLE_AUTO UINT32_MAX	/* the main table, and rules for a default route */

struct conf_peer {
	uint8_t		 public_key[KEY_LEN], psk[KEY_LEN];	/* psk all zero: none */
	bool		 has_public_key;
	struct endpoint	 endpoint;
	bool		 look_up;	/* its name, also where it is the one of the last time */
	uint16_t	 keepalive;	/* seconds, 0: off */
	struct prefix	*allowed;	/* masked, sorted, each once */
	size_t		 n_allowed;
	size_t		 line;		/* of its [Peer] */
};

struct conf_file {
	uint8_t			 private_key[KEY_LEN];
	bool			 has_private_key;
	uint16_t		 listen_port;	/* 0: choose */
	uint32_t		 fwmark;	/* 0: off */
	unsigned		 mtu;		/* 0: not given */
	uint32_t		 table;		/* CONF_TABLE_..., or a number */
	struct prefix		*addresses;	/* with the bits of the host */
	size_t			 n_addresses;
	struct conf_peer	*peers;		/* in the order of their keys */
	size_t			 n_peers;
};

/*
 * conf_read(file, text, len, left, ret, errors, warnings): ${file} stands in front of each line of
 * ${errors} and ${warnings}; ${left} are the CONF_LEFT_... that the caller knows will not be done.
 * 0; -EINVAL with at least one error; -ENOMEM.
 */
int conf_read(const char *file, const char *text, size_t len, unsigned left, struct conf_file **ret,
	struct buf *errors, struct buf *warnings);

/* conf_free(c): wipes what was secret.  NULL is allowed. */
void conf_free(struct conf_file *c);
static inline void conf_freep(struct conf_file **c)
{
	conf_free(*c);
}

/* conf_takes_all(c, family): a peer's allowed IPs hold every address of that family (/0). */
bool conf_takes_all(const struct conf_file *c, int family);
