/*
 * scope/story.h - what records mean, in words: one line each, with cause and next step.
 *
 * Remembers of each peer what happened before, so that "no answer for 5.2 s" can be said.  Writes
 * no line break; names and addresses only, never a key that is secret.
 */
#pragma once

#include "base/buf.h"
#include "ctl/capture.h"
#include "scope/names.h"

struct story;

/* story_new(names, ret): ${names} is borrowed. */
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
 * then 3 (error), 4 (warning), 6 (information) or 7 (detail).  Every record is shown, also those
 * that say nothing.
 */
bool story_tell(struct story *s, const struct capture_record *r, const uint8_t *data,
	struct buf *ret, unsigned *ret_level);

/* story_who(s, r, ret): the name of the record's peer, "?" for a stranger. */
void story_who(const struct story *s, const struct capture_record *r, char ret[NAME_MAX_LEN + 1]);

/* story_drop(r, data, ret): append why the packet ended here: "dropped: a counter seen before". */
void story_drop(const struct capture_record *r, const uint8_t *data, struct buf *ret);
