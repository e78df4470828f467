/*
 * scope/follow.h - listen to a running tunnel: the records of ctl/capture.h, one after the other,
 * also when another daemon takes the tunnel over.
 *
 * Blocks where it says so.  Belongs to one thread.
 */
#pragma once

#include "base/buf.h"
#include "ctl/capture.h"

struct follow_config {
	const char	*name;		/* of the tunnel */
	unsigned	 want;		/* enum capture_want */
	uint32_t	 snap;		/* bytes of a packet, up to CAPTURE_SNAP_MAX */
	const uint8_t	*peer;		/* public key of the only peer of interest, or NULL: all */
	size_t		 ring;		/* bytes, a power of two; 0: 16 MiB */
};

struct follow;

/* follow_new(config, ret, why): 0, or negative errno with a sentence in ${why}. */
int follow_new(const struct follow_config *config, struct follow **ret, struct buf *why);
void follow_free(struct follow *f);
static inline void follow_freep(struct follow **f)
{
	if (*f)
		follow_free(*f);
}

/*
 * follow_next(f, timeout_ms, ret, ret_data, why):
 * The next record and the r->kept bytes behind it, good until the next call.  1; 0 when there was
 * none for ${timeout_ms} (-1: for ever), or a signal came; -ECONNRESET: the daemon ended, and no other
 * took over; -EBADMSG.
 */
int follow_next(struct follow *f, int timeout_ms, const struct capture_record **ret,
	const uint8_t **ret_data, struct buf *why);

/* follow_idle(f): the last record is no longer needed.  True: there is no other yet. */
bool follow_idle(struct follow *f);

/* follow_lost(f): records that the daemon had no room for since the beginning. */
uint64_t follow_lost(const struct follow *f);
