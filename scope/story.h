/*
 * scope/story.h - what records mean, in words: one line each, with cause and next step.
 *
 * Remembers of each peer what happened before, so that "no answer for 5.2 s" can be said; of so many
 * peers as its memory has room for, the latest.  Writes printable ASCII without a line break: names,
 * addresses and public keys, never bytes of a packet.
 */
#pragma once

#include "base/buf.h"
#include "ctl/capture.h"
#include "scope/icmp_errors.h"
#include "scope/names.h"

struct story;

/* story_new(names, ret): ${names} is borrowed.  0 or -ENOMEM. */
int story_new(const struct names *names, struct story **ret);
void story_free(struct story *s);
static inline void story_freep(struct story **s)
{
	if (*s)
		story_free(*s);
}

/*
 * story_tell(s, r, data, ret, ret_level):
 * Append what happened, without time and peer.  True: there is something to say; ${ret_level} is
 * then 3 (error), 4 (warning), 6 (information) or 7 (detail).  Every record is shown once and in
 * order, also those that say nothing.  Of a handshake message that was refused the packet says so, and
 * the event behind it nothing.
 */
bool story_tell(struct story *s, const struct capture_record *r, const uint8_t *data,
	struct buf *ret, unsigned *ret_level);

/* story_hear_icmp(s, e): what it says is a cause when the answer to the message before it does not come. */
void story_hear_icmp(struct story *s, const struct icmp_error *e);

/* story_waits(r): what is told of this record is that an answer did not come: ICMP errors are wanted before. */
bool story_waits(const struct capture_record *r);

/* story_who(s, r, ret): the name of the record's peer, "?" for a stranger. */
void story_who(const struct story *s, const struct capture_record *r, char ret[NAME_MAX_LEN + 1]);

/* Numbers in the text that was told last; 0 or NULL: it has none. */
struct story_facts {
	unsigned	 attempt;	/* of a handshake, from 1 */
	uint64_t	 waited_ns;	/* for an answer, in vain */
	uint64_t	 rtt_ns;	/* from initiation to response */
	const char	*role;		/* of ours: "initiator", "responder" */
	const char	*icmp;		/* why nothing came, the name of an enum icmp_says */
};

const struct story_facts *story_facts(const struct story *s);

/* story_event_name(event): "roamed"; NULL: a later daemon's. */
const char *story_event_name(unsigned event);

/* story_put_address(r, ret): append the other end's address and port.  False: it is not known. */
bool story_put_address(const struct capture_record *r, struct buf *ret);
