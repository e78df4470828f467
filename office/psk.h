/*
 * office/psk.h - the secrets that nodes and people share with the hub, beside their keys.
 *
 *	NAME BASE64
 *
 * In a file of their own beside the lock, office.psk, which is the administrator's alone: file and
 * lock may be in a repository, and this may not.
 *
 * Pure, but for what is drawn.  No message has anything of a secret.
 */
#pragma once

#include "office/office.h"

/*
 * psk_read(o, lock, file, text, len, errors): give members of ${o}, which is settled with ${lock}, those that
 * the text has.  Of who is gone, and of a member that comes new to a lock, it is nobody's.  ${lock}
 * may be NULL.  0; -EINVAL with at least one error, "FILE:LINE:COLUMN: what is wrong"; -ENOMEM.
 */
int psk_read(struct office *o, const struct office *lock, const char *file, const char *text, size_t len,
	struct buf *errors);

/* psk_make(o): a new one for each node and person without.  0, -EIO or -ENOMEM. */
int psk_make(struct office *o);

/* psk_write(o, ret): append the text of the file.  0 or the error of ${ret}. */
int psk_write(const struct office *o, struct buf *ret);
