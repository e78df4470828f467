#include "scope/outer.h"

#include "tunnel/checksum.h"

#include <netinet/in.h>

#define UDP_LEN 8

static size_t ipv4(const struct outer *o, uint8_t h[OUTER_MAX])
{
	h[0] = 0x45;
	h[1] = o->tos;
	put_be16(h + 2, (uint16_t)(20 + UDP_LEN + o->len));
	h[8] = 64;
	h[9] = IPPROTO_UDP;
	memcpy(h + 12, o->from, 4);
	memcpy(h + 16, o->to, 4);
	checksum_store(h + 10, (uint16_t)~checksum_fold(checksum_add(0, h, 20)));
	return 20;
}

static size_t ipv6(const struct outer *o, uint8_t h[OUTER_MAX])
{
	put_be32(h, 6u << 28 | (uint32_t)o->tos << 20);
	put_be16(h + 4, (uint16_t)(UDP_LEN + o->len));
	h[6] = IPPROTO_UDP;
	h[7] = 64;
	memcpy(h + 8, o->from, 16);
	memcpy(h + 24, o->to, 16);
	return 40;
}

size_t outer_make(const struct outer *o, const uint8_t *kept, size_t n_kept, uint8_t ret[OUTER_MAX])
{
	uint16_t len = (uint16_t)(UDP_LEN + o->len), sum;
	size_t at;

	memset(ret, 0, OUTER_MAX);
	at = o->family == 4 ? ipv4(o, ret) : ipv6(o, ret);
	put_be16(ret + at, o->from_port);
	put_be16(ret + at + 2, o->to_port);
	put_be16(ret + at + 4, len);
	if (n_kept == o->len) {
		sum = (uint16_t)~checksum_fold(checksum_add(
			checksum_add(checksum_pseudo(ret, IPPROTO_UDP, len), ret + at, UDP_LEN), kept, n_kept));
		checksum_store(ret + at + 6, sum ? sum : 0xffff);
	}
	return at + UDP_LEN;
}

const uint8_t *outer_local(struct outer_locals *l, unsigned family, const uint8_t remote[16],
	const uint8_t local[16])
{
	static const uint8_t none[16];
	bool known = memcmp(local, none, sizeof(none));
	unsigned i;

	for (i = 0; i < array_size(l->at); i++)
		if (l->at[i].family == family && !memcmp(l->at[i].remote, remote, sizeof(none)))
			break;
	if (!known)
		return i < array_size(l->at) ? l->at[i].local : local;
	if (i == array_size(l->at)) {
		i = l->next++ % (unsigned)array_size(l->at);
		l->at[i].family = family;
		memcpy(l->at[i].remote, remote, sizeof(none));
	}
	memcpy(l->at[i].local, local, sizeof(none));
	return local;
}
