/*
 * office/secret.h - a member's private key, which is made where it is used and stays there.
 */
#pragma once

#include "base/buf.h"
#include "base/key_text.h"

#define SECRET_DIR "/etc/ginnel"

/* secret_path(interface, ret): SECRET_DIR/INTERFACE.key.  0 or -ENAMETOOLONG. */
int secret_path(const char *interface, char ret[], size_t size);

/* secret_next_path(path, ret): where the one that takes over lies, beside it.  0 or -ENAMETOOLONG.
 */
int secret_next_path(const char *path, char ret[], size_t size);

/*
 * secret_load(path, ret_private, ret_public): either may be NULL.  0; -ENOENT; -EBADMSG: there is
 * something else in that file; other negative errno.
 */
int secret_load(const char *path, uint8_t ret_private[KEY_LEN], uint8_t ret_public[KEY_LEN]);

/* secret_make(path): a new one, 0600, in a directory of 0700; one that is there is kept.  0 or negative errno. */
int secret_make(const char *path);
