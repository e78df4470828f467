/*
 * office/accept.h - what members say of themselves, taken into the office.
 *
 *	NAME key BASE64
 *	NAME next-key BASE64
 *	NAME return MODE
 *	NAME mtu N
 *
 * A next key stands beside the key until the member says that it has become its key.
 *
 * Pure.
 */
#pragma once

#include "office/office.h"

#define ACCEPT_MTU_LEAST 576
#define ACCEPT_MTU_MOST 65535

/*
 * accept_lines(o, source, from, text, len, said, errors):
 * ${source} stands in front of each error, with the number of the line.  ${from}: lines of others than
 * this member are errors; NULL: whoever sends them is believed.  What has changed is appended to
 * ${said}, a line each.  0; -EINVAL with at least one error, and at most OFFICE_ERRORS_MAX and a line
 * that there are more, and then ${o} is of no use any more; -ENOMEM.
 */
int accept_lines(struct office *o, const char *source, const struct member *from, const char *text, size_t len,
	struct buf *said, struct buf *errors);

/*
 * accept_learnt(o, text, len): of a member's own notes what fits: "NAME return MODE", "NAME mtu N",
 * "NAME port N".  What cannot be read is left out.
 */
void accept_learnt(struct office *o, const char *text, size_t len);
