#include "office/secret.h"

#include "conf/text.h"
#include "crypto/x25519.h"
#include "office/store.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

int secret_path(const char *interface, char ret[], size_t size)
{
	int n = snprintf(ret, size, "%s/%s.key", SECRET_DIR, interface);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int secret_next_path(const char *path, char ret[], size_t size)
{
	int n = snprintf(ret, size, "%s.next", path);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int secret_load(const char *path, uint8_t ret_private[KEY_LEN], uint8_t ret_public[KEY_LEN])
{
	cleanup(buf_done) struct buf text = buf_of_max(KEY_TEXT_LEN + 2);
	cleanup(x25519_freep) struct x25519 *key = NULL;
	uint8_t private[KEY_LEN];
	int r = store_read(path, &text);

	if (r < 0)
		return r == -ENOBUFS ? -EBADMSG : r;
	if (text.len && text.data[text.len - 1] == '\n')
		text.len--;
	if (key_text_parse((const char *)text.data, text.len, private) < 0)
		return -EBADMSG;
	r = x25519_new(private, &key);
	if (r == 0 && ret_private)
		memcpy(ret_private, private, KEY_LEN);
	if (r == 0 && ret_public)
		memcpy(ret_public, x25519_public(key), KEY_LEN);
	explicit_bzero(private, sizeof(private));
	return r;
}

int secret_make(const char *path)
{
	cleanup(buf_done) struct buf text = buf_of_max(KEY_TEXT_LEN + 2);
	uint8_t private[KEY_LEN];
	int r;

	if (access(path, F_OK) == 0)
		return 0;
	if (mkdir(SECRET_DIR, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (getrandom(private, sizeof(private), 0) != (ssize_t)sizeof(private))
		return -EIO;
	x25519_clamp(private);
	text_put_key(private, &text);
	buf_puts(&text, "\n");
	explicit_bzero(private, sizeof(private));
	r = store_make(path, 0600, &text);
	return r < 0 && r != -EEXIST ? r : 0;
}
