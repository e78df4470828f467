#include "scope/key_log.h"

#include "base/key_text.h"

static void put_key(struct buf *b, const char *label, const uint8_t key[KEY_LEN])
{
	char text[KEY_TEXT_LEN + 1];

	key_text_format(key, text);
	buf_printf(b, "%s=%s\n", label, text);
	explicit_bzero(text, sizeof(text));
}

void key_log_put(const struct capture_record *r, const struct capture_secrets *s, struct buf *ret)
{
	static const uint8_t none[KEY_LEN];

	put_key(ret, "LOCAL_STATIC_PRIVATE_KEY", s->local_static);
	if (r->has_peer)
		put_key(ret, "REMOTE_STATIC_PUBLIC_KEY", r->public_key);
	put_key(ret, "LOCAL_EPHEMERAL_PRIVATE_KEY", s->local_ephemeral);
	if (memcmp(s->preshared, none, sizeof(none)))
		put_key(ret, "PRESHARED_KEY", s->preshared);
}
