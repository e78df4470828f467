/*
 * scope/kernel_keys.h - the keys of the handshakes that the kernel's own WireGuard makes, by a probe
 * at wg_index_hashtable_insert(), where each handshake passes before its first message is sent.
 *
 * The kernel is a stock one.  Probe and trace instance bear our name and disturb nobody's tracing;
 * what a run that was killed left behind, the next one removes.
 */
#pragma once

#include "base/key_log.h"

struct kernel_keys;

/* All of these: 0 or more, or negative errno with a sentence that says what to do. */

/* kernel_keys_new(ret, why): -EBUSY: somebody does this already. */
int kernel_keys_new(struct kernel_keys **ret, struct buf *why);
void kernel_keys_free(struct kernel_keys *k);
static inline void kernel_keys_freep(struct kernel_keys **k)
{
	if (*k)
		kernel_keys_free(*k);
}

/*
 * kernel_keys_next(k, timeout_ms, ret, why): the keys of the next handshake, good until the next
 * call.  1; 0: there was none for ${timeout_ms}, or a signal came.
 */
int kernel_keys_next(struct kernel_keys *k, int timeout_ms, struct key_log_keys *ret, struct buf *why);

/* kernel_keys_guessed(k): the kernel does not say where its keys are; they are taken from where they always were. */
bool kernel_keys_guessed(const struct kernel_keys *k);

/* kernel_keys_lost(k): handshakes for which there was no room, or whose keys could not be read. */
uint64_t kernel_keys_lost(const struct kernel_keys *k);
