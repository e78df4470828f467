/* ICMP errors of all kinds and of any bytes. */
#include "scope/icmp_errors.h"

#include "base/test.h"

#include <stdlib.h>

static struct icmp_error e;

/* A port 51820 of 192.0.2.7 or 2001:db8::7, in an error of this type and code. */
static bool parse(uint8_t family, uint8_t type, uint8_t code, uint8_t protocol)
{
	uint8_t m[8 + 40 + 8] = {type, code};
	uint8_t *p = m + 8, *udp = p + (family == 6 ? 40 : 20);

	if (family == 6) {
		const uint8_t to[16] = {0x20, 1, 0xd, 0xb8, [15] = 7};

		p[0] = 0x60;
		p[6] = protocol;
		memcpy(p + 24, to, 16);
	} else {
		const uint8_t to[4] = {192, 0, 2, 7};

		p[0] = 0x45;
		p[9] = protocol;
		memcpy(p + 16, to, 4);
	}
	put_be16(udp + 2, 51820);
	return icmp_error_parse(family, m, (size_t)(udp + 8 - m), &e);
}

static void kinds(void)
{
	static const struct { uint8_t family, type, code; enum icmp_says says; } rows[] = {
		{4, 3, 3, ICMP_SAYS_PORT}, {4, 3, 13, ICMP_SAYS_FORBIDDEN}, {4, 3, 10, ICMP_SAYS_FORBIDDEN}, {4, 3, 9, ICMP_SAYS_FORBIDDEN},
		{4, 3, 0, ICMP_SAYS_NO_WAY}, {4, 3, 1, ICMP_SAYS_NO_WAY}, {6, 1, 4, ICMP_SAYS_PORT}, {6, 1, 1, ICMP_SAYS_FORBIDDEN},
		{6, 1, 5, ICMP_SAYS_FORBIDDEN}, {6, 1, 0, ICMP_SAYS_NO_WAY}, {6, 1, 3, ICMP_SAYS_NO_WAY}};

	for (size_t i = 0; i < array_size(rows); i++) {
		CHECK(parse(rows[i].family, rows[i].type, rows[i].code, 17));
		CHECK_EQ(e.says, rows[i].says);
		CHECK_EQ(e.family, rows[i].family);
		CHECK_EQ(e.to_port, 51820);
		CHECK_EQ(e.to[rows[i].family == 6 ? 15 : 3], 7);
		CHECK(!parse(rows[i].family, rows[i].type, rows[i].code, 6)); /* TCP */
	}
	CHECK(!parse(4, 3, 4, 17)); /* too big: no reason for silence */
	CHECK(!parse(4, 11, 0, 17));
	CHECK(!parse(6, 3, 0, 17));
}

static void any_bytes(void)
{
	uint64_t seed = 3;
	unsigned taken = 0;

	for (unsigned i = 0; i < 200000; i++) {
		size_t len = test_random(&seed) % 80;
		uint8_t family = i % 2 ? 4 : 6, *m = malloc(len ? len : 1); /* not a byte to spare */

		if (!m)
			abort();
		for (size_t k = 0; k < len; k++)
			m[k] = (uint8_t)test_random(&seed);
		if (len > 0 && i % 3)
			m[0] = family == 6 ? 1 : 3;
		if (len > 8 && i % 3)
			m[8] = family == 6 ? 0x60 : (uint8_t)(0x40 | m[8] % 16);
		if (len > 17 && i % 3)
			m[family == 6 ? 14 : 17] = 17;
		taken += icmp_error_parse(family, m, len, &e);
		free(m);
	}
	CHECK(taken > 1000);
}

int main(void)
{
	test_run("what an ICMP error says, and about which datagram [trace-icmp]", kinds);
	test_run("from any bytes nothing is read that is not there [trace-icmp]", any_bytes);
	return test_done();
}
