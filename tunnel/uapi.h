/*
 * tunnel/uapi.h - the configuration protocol that wg(8) speaks: its text on one side, the device on
 * the other.
 *
 * Knows no socket and does no I/O: bytes are fed in, bytes are taken out.  Belongs to the owner of
 * the device.
 *
 * A request is collected until its blank line and only then applied, in one go: requests of several
 * clients cannot mix, a client that stalls in the middle holds up nobody, and one that dies there
 * changes nothing.  A request longer than UAPI_REQUEST_MAX (some 250,000 peers) is refused as a
 * whole, and so is the longest of those under way when what all clients together have waiting would
 * be more than UAPI_BUFFERED_MAX: ten times what 130,560 prefixes take.
 *
 * The answer to get is made piece by piece, as it is taken.  Its place is a peer and the last
 * allowed IP shown.  When a peer is removed meanwhile, whoever stands there moves on to the next
 * one; when the allowed IP is, the list goes on at the same position.  Every peer that is there
 * from start to end is shown exactly once.
 */
#pragma once

#include "wg/device.h"

#include "base/buf.h"

#define UAPI_REQUEST_MAX (64u << 20)
#define UAPI_BUFFERED_MAX ((size_t)UAPI_REQUEST_MAX)
#define UAPI_LINE_MAX 1024
#define UAPI_PIECE (64u << 10)	/* of an answer, made at a time */

struct uapi;
struct uapi_client;

/*
 * What lies outside of the device.  All are called by the owner, from within uapi_feed(),
 * uapi_output() or uapi_written().
 */
struct uapi_host {
	struct wg_now (*now)(void *arg);
	/*
	 * 0: choose one.  While the link is down the number is only remembered.  0, or negative
	 * errno (any: port in use).
	 */
	int (*set_listen_port)(void *arg, uint16_t port);
	uint16_t (*listen_port)(void *arg);
	/* 0: off.  0 or negative errno. */
	int (*set_fwmark)(void *arg, uint32_t mark);
	uint32_t (*fwmark)(void *arg);
	/*
	 * The number of the interface of this name, for link-local endpoints; 0: there is none.
	 * NULL: numbers only.
	 */
	uint32_t (*scope_id)(void *arg, const char *name);
	/*
	 * A set request was carried out, in whole or in part: run the device, drain its effects.
	 * May be NULL.
	 */
	void (*changed)(void *arg);
	/*
	 * A set request stopped at its line ${line}, "set=1" being the first, with the protocol's
	 * ${error}.  ${key} is the line's key, or NULL when the protocol has no such key: what else
	 * a client writes may be a secret.  May be NULL.
	 */
	void (*refused)(void *arg, size_t line, const char *key, int error);
	void *arg;
};

/* uapi_new(d, host, ret): ${host} is copied, ${d} borrowed.  0 or -ENOMEM. */
int uapi_new(struct wg_device *d, const struct uapi_host *host, struct uapi **ret);
/* uapi_free(u): its clients were freed before.  NULL is allowed. */
void uapi_free(struct uapi *u);
static inline void uapi_freep(struct uapi **u)
{
	uapi_free(*u);
}

/*
 * uapi_peer_leaves(u, p): whoever else removes a peer says so before, for the sake of get answers
 * under way.
 */
void uapi_peer_leaves(struct uapi *u, struct wg_peer *p);

/* One connection.  Its buffers are wiped before they are given back. */
int uapi_client_new(struct uapi *u, struct uapi_client **ret);
void uapi_client_free(struct uapi_client *c);

/*
 * uapi_feed(c, data, len): bytes from the client.  Requests that become complete are carried out,
 * one at a time: the next one when the answer to the one before was taken.  Bytes after an unknown
 * operation are ignored.  0; -ENOMEM, or -ENOBUFS when fed on and on without taking answers: close.
 */
int uapi_feed(struct uapi_client *c, const void *data, size_t len);

/*
 * uapi_output(c, ret): the next bytes for the client, made now where needed, at most UAPI_PIECE and
 * a little.  0: none, feed more.  They stay valid until uapi_written(), uapi_feed() or
 * uapi_client_free().
 */
size_t uapi_output(struct uapi_client *c, const uint8_t **ret);

/*
 * uapi_written(c, n): the first ${n} bytes of the last uapi_output() are out; they are wiped when
 * all are.
 */
void uapi_written(struct uapi_client *c, size_t n);

/*
 * A client goes on in another process.  uapi_client_pack(c, in, out): append the rest of the answer
 * under way, and the requests behind it, complete or not, none of which is carried out.  ${c} is
 * then to be given its answer back, or freed.  0; -EMSGSIZE or the buffers' errors: it cannot go
 * along.
 */
int uapi_client_pack(struct uapi_client *c, struct buf *in, struct buf *out);

/* uapi_client_answer(c, data, len): of a client that has no answer waiting.  0 or -ENOMEM. */
int uapi_client_answer(struct uapi_client *c, const void *data, size_t len);

/* uapi_client_end(c): no more requests: closed when the answer was taken. */
void uapi_client_end(struct uapi_client *c);

/*
 * uapi_ended(c): close the connection: an unknown operation was met, and every answer before it was
 * taken.
 */
bool uapi_ended(const struct uapi_client *c);
