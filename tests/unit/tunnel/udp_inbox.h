/*
 * udp_inbox.h - what the tests of tunnel/udp share: sockets on loopback, datagrams and who counts them,
 * and children that are not allowed something.
 *
 * In a network namespace of the test's own where that is allowed (root); the addresses 127.0.0.2,
 * 127.0.0.3 and, in the namespace, fd00:1::1 to ::3 are local.
 */
#pragma once

#include "base/test.h"
#include "tunnel/udp.h"

#include <stdio.h>
#include <unistd.h>

/* begin(): fill bytes[]; whether we have a network namespace of our own now. */
bool begin(void);

extern uint8_t bytes[65536 * 2];	/* random, and the same in each run */

struct wg_addr addr(const char *text, uint16_t port);
struct wg_endpoint to(const char *text, uint16_t port);
struct udp *open_or_fail(uint16_t port, unsigned workers);
struct udp_message message(const struct wg_endpoint *e, uint32_t len, uint32_t segment);

/* Datagrams that come in on ${fd}, in order, copied. */
struct inbox {
	unsigned		n, runs;
	struct wg_endpoint	from[256];
	uint32_t		len[256];
	uint8_t			tos[256];
	uint8_t			data[256][64];	/* the beginning of each */
	bool			same;		/* each equals what lies in bytes[] behind the one before */
	bool			truncated;
};

extern struct inbox in;

/* take(to_fill, fd, want): wait for so many and look at them. */
void take(struct inbox *to_fill, int fd, unsigned want);

/* check_quiet(fd): nothing waits there. */
void check_quiet(int fd);

/* in_child(fn): what a process without a family, or with a namespace of its own, sees. */
void in_child(void (*fn)(void));

/* The child has no harness: it says why by its status. */
#define DEMAND(cond)                                                                               \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                 \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* forbid(call, value, why): ${call} with ${value} as its first argument fails from here on with ${why}. */
void forbid(unsigned call, unsigned value, int why);
