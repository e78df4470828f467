/* Headers made again: against packets that other implementations computed. */
#include "base/test.h"
#include "scope/outer.h"

/* Sums as RFC 1071 explains them, the slow way. */
static uint16_t sum(uint32_t start, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		start += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (start >> 16)
		start = (start & 0xffff) + (start >> 16);
	return (uint16_t)start;
}

static void known_packet(void)
{
	/* The IPv4 header of RFC 1071's everyday example, with UDP in it. */
	static const uint8_t from[4] = {192, 168, 0, 1}, to[4] = {192, 168, 0, 199};
	const struct outer o = {.family = 4, .from = from, .to = to, .from_port = 4660, .to_port = 22136, .tos = 0xb8, .len = 5};
	uint8_t h[OUTER_MAX];

	CHECK_EQ(outer_make(&o, (const uint8_t *)"hello", 5, h), 28);
	CHECK_EQ(h[0], 0x45);
	CHECK_EQ(h[1], 0xb8);
	CHECK_EQ(get_be16(h + 2), 33);
	CHECK_EQ(h[9], 17);
	CHECK_EQ(sum(0, h, 20), 0xffff);
	CHECK_EQ(get_be16(h + 20), 4660);
	CHECK_EQ(get_be16(h + 22), 22136);
	CHECK_EQ(get_be16(h + 24), 13);
}

static void sums(void)
{
	uint64_t seed = 9;

	for (unsigned i = 0; i < 20000; i++) {
		uint8_t from[16], to[16], data[64], h[OUTER_MAX], all[OUTER_MAX + 64];
		struct outer o = {.family = i % 2 ? 4 : 6, .from = from, .to = to};
		size_t n, ip, addresses = i % 2 ? 4 : 16;
		uint32_t pseudo;

		for (unsigned k = 0; k < 16; k++) {
			from[k] = (uint8_t)test_random(&seed);
			to[k] = (uint8_t)test_random(&seed);
		}
		o.from_port = (uint16_t)test_random(&seed);
		o.to_port = (uint16_t)test_random(&seed);
		o.tos = (uint8_t)test_random(&seed);
		o.len = test_random(&seed) % sizeof(data);
		for (size_t k = 0; k < o.len; k++)
			data[k] = i % 7 ? (uint8_t)test_random(&seed) : 0;
		n = outer_make(&o, data, o.len, h);
		ip = n - 8;
		CHECK_EQ(ip, i % 2 ? 20 : 40);
		memcpy(all, h + ip, 8);
		memcpy(all + 8, data, o.len);
		pseudo = sum(17 + 8 + (uint32_t)o.len, from, addresses);
		pseudo = sum(pseudo, to, addresses);
		CHECK_EQ(sum(pseudo, all, 8 + o.len), 0xffff);
		CHECK(h[ip + 6] || h[ip + 7]); /* zero would say that there is none */
		if (i % 2)
			CHECK_EQ(sum(0, h, 20), 0xffff);
		else
			CHECK_EQ(get_be32(h), 6u << 28 | (uint32_t)o.tos << 20);
		CHECK_MEM(h + (i % 2 ? 12 : 8), from, addresses);
		CHECK_MEM(h + (i % 2 ? 16 : 24), to, addresses);
		/* Of a message that is cut there is no sum. */
		if (o.len) {
			outer_make(&o, data, o.len - 1, h);
			CHECK_EQ(get_be16(h + ip + 6), 0);
		}
	}
}

static void locals(void)
{
	static const uint8_t none[16];
	struct outer_locals l = {.next = 0};
	uint8_t remote[16] = {1}, local[16] = {2};

	CHECK(!memcmp(outer_local(&l, 4, remote, none), none, 16));
	CHECK(!memcmp(outer_local(&l, 4, remote, local), local, 16));
	CHECK(!memcmp(outer_local(&l, 4, remote, none), local, 16));
	CHECK(!memcmp(outer_local(&l, 6, remote, none), none, 16));
	local[0] = 3;
	CHECK(!memcmp(outer_local(&l, 4, remote, local), local, 16));
	CHECK(!memcmp(outer_local(&l, 4, remote, none), local, 16));
	for (uint8_t i = 10; i < 200; i++) {
		uint8_t other[16] = {i}, ours[16] = {0, i};

		outer_local(&l, 4, other, ours);
		CHECK(!memcmp(outer_local(&l, 4, other, none), ours, 16));
	}
}

int main(void)
{
	test_run("a message gets the IPv4 and UDP headers that it had [outer-headers]", known_packet);
	test_run("checksums are right for any bytes, and left out where bytes are missing [outer-headers]", sums);
	test_run("our address is remembered where a message does not say it [outer-headers]", locals);
	return test_done();
}
