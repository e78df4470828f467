/*
 * scope/record_keys.h - the keys in a record, as a key log has them.
 */
#pragma once

#include "base/key_log.h"
#include "ctl/capture.h"

/* record_keys(r, data, ret): borrows both.  False: there are none. */
static inline bool record_keys(const struct capture_record *r, const uint8_t *data, struct key_log_keys *ret)
{
	const struct capture_secrets *s = (const void *)data;

	if (r->kind != CAPTURE_SECRETS || r->kept < sizeof(*s))
		return false;
	*ret = (struct key_log_keys){.local_static = s->local_static,
		.local_ephemeral = s->local_ephemeral,
		.remote_static = r->has_peer ? r->public_key : NULL,
		.preshared = s->preshared};
	return true;
}
