#include "base/key_text.h"

#include <errno.h>

static const char base64[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of a digit; -1: it is none. */
static int base64_digit(char c)
{
	for (int i = 0; i < 64; i++)
		if (base64[i] == c)
			return i;
	return -1;
}

int key_text_parse(const char *text, size_t len, uint8_t ret[KEY_LEN])
{
	uint8_t key[KEY_LEN + 1];
	uint32_t bits = 0;
	size_t n = 0;

	if (len != KEY_TEXT_LEN || text[KEY_TEXT_LEN - 1] != '=')
		return -EINVAL;
	for (size_t i = 0; i < KEY_TEXT_LEN; i++) {
		int digit = i < KEY_TEXT_LEN - 1 ? base64_digit(text[i]) : 0;

		if (digit < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)digit;
		if (i % 4 == 3) {
			key[n++] = (uint8_t)(bits >> 16);
			key[n++] = (uint8_t)(bits >> 8);
			key[n++] = (uint8_t)bits;
			bits = 0;
		}
	}
	/* The last digit holds four bits of the key and two of nothing. */
	if (key[KEY_LEN] == 0)
		memcpy(ret, key, KEY_LEN);
	n = key[KEY_LEN];
	explicit_bzero(key, sizeof(key));
	return n ? -EINVAL : 0;
}

void key_text_format(const uint8_t key[KEY_LEN], char ret[KEY_TEXT_LEN + 1])
{
	for (size_t i = 0; i < KEY_TEXT_LEN; i += 4) {
		size_t from = i / 4 * 3;
		uint32_t bits = (uint32_t)key[from] << 16 | (uint32_t)key[from + 1] << 8;

		if (from + 2 < KEY_LEN)
			bits |= key[from + 2];
		for (size_t j = 0; j < 4; j++)
			ret[i + j] = base64[bits >> (18 - 6 * j) & 63];
	}
	ret[KEY_TEXT_LEN - 1] = '=';
	ret[KEY_TEXT_LEN] = '\0';
}
