/*
 * office/office.h - the office network: its members, and what is said of each.
 *
 * One text, one fact a line, in three dialects: the file that people write (office.net), what was
 * derived from it and stays so (office.lock), and the part of that which one member needs (a
 * bundle).  The latter two say everything; the first leaves out what can be derived.
 *
 *	z hub    z.example.com
 *	a node   192.168.201.0/24
 *	b host   a .55
 *	e person 10.70.0.4
 *
 * Reads bytes and opens no file.  No private key is in any of them.  A bundle may have pre-shared
 * keys, which are secret.
 */
#pragma once

#include "base/enum.h"
#include "conf/text.h"

#define OFFICE_ID_MAX 1000000000
#define OFFICE_VERSION 1	/* of lock and bundle; another is refused */
#define OFFICE_NAME_MAX 63	/* a label of the DNS: letters, digits and hyphens, lower case */
#define OFFICE_MEMBERS_MAX 10000
#define OFFICE_TEXT_MAX ((size_t)4 << 20)
#define OFFICE_HUB_PORTS_MAX 4

#define MEMBER_KIND_LIST(X)                                                                        \
	X(MEMBER_HUB, 1, "hub", "the public server that joins the others")                         \
	X(MEMBER_NODE, 2, "node", "joins the LAN that it stands in")                               \
	X(MEMBER_HOST, 3, "host", "a device of a LAN; nothing of ours runs on it")                 \
	X(MEMBER_PERSON, 4, "person", "a machine or telephone that is somewhere")
ENUM_DECLARE(member_kind, MEMBER_KIND_LIST);

/* How packets for the tunnel's other side come back from a LAN to its node. */
#define RETURN_MODE_LIST(X)                                                                        \
	X(RETURN_AUTO, 0, "auto", "what a probe of the gateway finds")                             \
	X(RETURN_ROUTE, 1, "route", "the gateway has routes to the node")                          \
	X(RETURN_ROUTE_GW, 2, "route+gw",                                                          \
		"it has, and drops flows of which it sees one side: the node goes through it too") \
	X(RETURN_SNAT, 3, "snat", "the node stands in for the others; nothing to do on the gateway")
ENUM_DECLARE(return_mode, RETURN_MODE_LIST);

#define ENGINE_LIST(X)                                                                             \
	X(ENGINE_GINNEL, 0, "ginnel", "ginnel-wg")                                                 \
	X(ENGINE_KERNEL, 1, "kernel", "the kernel's own WireGuard")
ENUM_DECLARE(engine, ENGINE_LIST);

/* Where a thing is said in the file that was read. */
struct place {
	unsigned	line, column;	/* from 1; 0: nowhere, it was derived */
};

/* The columns in a member's line at which its words stand; 0: nowhere. */
struct columns {
	unsigned	endpoint, address, lan, alias, lan_address, gateway, node, host, key, mtu;
};

struct member {
	char			 name[OFFICE_NAME_MAX + 1];
	enum member_kind	 kind;
	struct place		 place;		/* of its name */
	struct columns		 column;
	bool			 gone;		/* lock: was a member once; its id and address stay taken */
	unsigned		 id;		/* from 1, never given twice; 0: not settled yet */

	/* hub, node, person: */
	struct prefix		 address;	/* inside the tunnel, all bits; family 0: not said */
	uint8_t			 public_key[KEY_LEN], next_key[KEY_LEN];
	bool			 has_key, has_next_key;	/* next: of a rotation that is under way */
	uint8_t			*psk;		/* node, person: that it shares with the hub, KEY_LEN; NULL: none is known */
	enum engine		 engine;
	unsigned		 mtu;		/* 0: not said */
	unsigned		 learnt_mtu;	/* lock: measured; 0: not */
	uint64_t		 given;		/* lock: of what was exported for it last, see office/given.h; 0: nothing was */
	uint16_t		 learnt_port;	/* a member's own notes: at which the hub answers; 0: not known */

	/* hub: */
	struct endpoint		 endpoint;	/* port 0: not said */
	uint16_t		 ports[OFFICE_HUB_PORTS_MAX];	/* more that it answers on; 0: no more */

	/* node: */
	struct prefix		 lan;		/* masked; of 8 to 30 bits */
	struct prefix		 alias;		/* as long as ${lan}; family 0: not said */
	struct prefix		 lan_address;	/* the node's own in its LAN; family 0: not said */
	struct prefix		 gateway;	/* of the LAN; family 0: not said */
	char			 device[16];	/* its interface to the LAN; "": the one with an address there */
	enum return_mode	 mode;
	enum return_mode	 learnt_mode;	/* lock: what was found for auto; RETURN_AUTO: nothing yet */

	/* host: */
	char			 node[OFFICE_NAME_MAX + 1];
	struct prefix		 host;		/* its address in the LAN */

	/* person: */
	bool			 phone;		/* a form without hooks, by QR code */
};

struct office {
	struct prefix		 net;		/* of the members; family 0: not said */
	struct prefix		 aliases;	/* of the LANs; family 0: not said */
	struct place		 net_place, aliases_place;
	uint16_t		 port;		/* of the tunnel; 0: not said */
	unsigned		 mtu;		/* 0: not said */
	bool			 psk;		/* file, lock: the hub shares a secret with each of the others */
	unsigned		 next_id;	/* lock: the next to be given; 0: not said */
	char			 self[OFFICE_NAME_MAX + 1];	/* bundle: whose it is */
	struct member		*members;	/* of a file in the order of its lines, else of their ids */
	size_t			 n_members;

	/* Made by office_index(), of those who are not gone; NULL before. */
	const struct member	**by_name;
	size_t			 n_by_name;
	const struct member	**nodes;	/* in the order of their LANs */
	size_t			 n_nodes;
	const struct member	*hub;		/* the first one, or NULL */
};

#define DIALECT_LIST(X)                                                                            \
	X(DIALECT_FILE, 0, "file", "office.net: what people write")                                \
	X(DIALECT_LOCK, 1, "lock", "office.lock: all of it, with what was derived")                \
	X(DIALECT_BUNDLE, 2, "bundle", "what one member needs of the lock")
ENUM_DECLARE(dialect, DIALECT_LIST);

#define OFFICE_ERRORS_MAX 1000	/* lines; one more says that there are others */

/*
 * office_read(dialect, file, text, len, ret, errors):
 * ${file} stands in front of each error, "FILE:LINE:COLUMN: what is wrong".  All errors are
 * reported at once, in the order of their lines but for those of hosts, which come last.  Only what
 * a line says by itself, and names, are judged here: names twice, hosts of what is no node.  What
 * contradicts something else is check()'s.
 * 0; -EINVAL with at least one error; -ENOMEM.
 */
int office_read(enum dialect dialect, const char *file, const char *text, size_t len,
	struct office **ret, struct buf *errors);

/* office_free(o): pre-shared keys are wiped. */
void office_free(struct office *o);
static inline void office_freep(struct office **o)
{
	office_free(*o);
}

/*
 * office_write(o, dialect, ret): append the text of a settled office as lock or bundle (the latter
 * of what settle_part() made); office_read() reads it back to the same.  0 or the error of ${ret}.
 */
int office_write(const struct office *o, enum dialect dialect, struct buf *ret);

/*
 * office_index(o): after members have come, gone or moved, for the look-ups below.  office_read(),
 * settle() and settle_part() have done it.  0 or -ENOMEM.
 */
int office_index(struct office *o);

/* office_find(o, name): the member that is not gone, or NULL.  In the order of log n. */
const struct member *office_find(const struct office *o, const char *name);

/* office_hub(o): the first one, or NULL. */
const struct member *office_hub(const struct office *o);

/* member_set_psk(m, key): a copy; NULL: none.  The one before is wiped.  0 or -ENOMEM. */
int member_set_psk(struct member *m, const uint8_t key[KEY_LEN]);
