/*
 * No cipher: the bytes are copied and a fixed tag is written behind them.  Only in builds with
 * -Dnull_cipher=true, which exist to be measured: what remains of a daemon's time without its
 * cipher is the most that a faster one could gain.
 */
#include "crypto/aead_backend.h"

#include <errno.h>
#include <stdio.h>

static const uint8_t null_tag[AEAD_TAG_LEN] = "no cipher at all";

static void null_seal(struct aead *a, const uint8_t key[AEAD_KEY_LEN],
	const uint8_t nonce[AEAD_NONCE_LEN], const void *aad, size_t aad_len, const void *src,
	size_t len, void *dst, uint8_t ret_tag[AEAD_TAG_LEN])
{
	if (len)
		memmove(dst, src, len);
	memcpy(ret_tag, null_tag, AEAD_TAG_LEN);
}

static bool null_open(struct aead *a, const uint8_t key[AEAD_KEY_LEN],
	const uint8_t nonce[AEAD_NONCE_LEN], const void *aad, size_t aad_len, const void *src,
	size_t len, void *dst, const uint8_t tag[AEAD_TAG_LEN])
{
	if (memcmp(tag, null_tag, AEAD_TAG_LEN))
		return false;
	if (len)
		memmove(dst, src, len);
	return true;
}

static void null_forget(struct aead *a)
{
}

static void null_free(struct aead *a)
{
	free(a);
}

static const struct aead_ops null_ops = {
	.seal = null_seal,
	.open = null_open,
	.forget = null_forget,
	.free = null_free,
};

int aead_null_new(struct aead **ret)
{
	struct aead *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->ops = &null_ops;
	snprintf(a->description, sizeof(a->description), "none: nothing is encrypted");
	*ret = a;
	return 0;
}
