/* base/key_text.h - a key as wg(8) writes it: base64. */
#pragma once

#include "base/util.h"

#define KEY_LEN 32
#define KEY_TEXT_LEN 44

/* key_text_parse(text, len, ret): -EINVAL, with ${ret} untouched. */
int key_text_parse(const char *text, size_t len, uint8_t ret[KEY_LEN]);

/* key_text_format(key, ret): a secret one is the caller's to wipe. */
void key_text_format(const uint8_t key[KEY_LEN], char ret[KEY_TEXT_LEN + 1]);
