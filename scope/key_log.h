/*
 * scope/key_log.h - the keys of a handshake in the words of Wireshark's WireGuard key log.
 */
#pragma once

#include "base/buf.h"
#include "ctl/capture.h"

/*
 * key_log_put(r, s, ret): append the block of one handshake: to be written with one call before its
 * first message is read.  Secrets: the caller's to wipe.
 */
void key_log_put(const struct capture_record *r, const struct capture_secrets *s, struct buf *ret);
