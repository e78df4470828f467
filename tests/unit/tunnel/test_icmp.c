#include "packets.h"
#include "tunnel/icmp.h"

static uint8_t payload[3000], error[ICMP_UNREACHABLE_MAX];

static void v4_error(void)
{
	struct packet_spec s = {.src = 1, .dst = 2, .ttl = 64, .sport = 5, .dport = 6, .id = 7};
	uint8_t p[2000];

	for (size_t n = 0; n < 1400; n += 13) {
		size_t len = packet_build(p, &s, payload, n), quote = len < 548 ? len : 548;

		CHECK_EQ(icmp_unreachable(p, len, error), 28 + quote);
		CHECK_EQ(get_be16(error + 2), 28 + quote);
		CHECK_EQ(error[0], 0x45);
		CHECK_EQ(error[9], 1);
		CHECK(error[8] > 1);
		CHECK_MEM(error + 12, p + 16, 4);
		CHECK_MEM(error + 16, p + 12, 4);
		CHECK_EQ(slow_sum(0, error, 20), 0xffff);
		CHECK_EQ(error[20], 3);
		CHECK_EQ(error[21], 1);
		CHECK_EQ(get_be32(error + 24), 0);
		CHECK_EQ(slow_sum(0, error + 20, 8 + quote), 0xffff);
		CHECK_MEM(error + 28, p, quote);
	}
}

static void v6_error(void)
{
	struct packet_spec s = {.v6 = true, .src = 1, .dst = 2, .ttl = 64, .tcp = true};
	uint8_t p[2000];

	for (size_t n = 0; n < 1400; n += 13) {
		size_t len = packet_build(p, &s, payload, n), quote = len < 1232 ? len : 1232;
		uint8_t pseudo[8] = {0, 0, (uint8_t)((8 + quote) >> 8), (uint8_t)(8 + quote), 0, 0, 0, 58};

		CHECK_EQ(icmp_unreachable(p, len, error), 48 + quote);
		CHECK_EQ(error[0], 0x60);
		CHECK_EQ(get_be16(error + 4), 8 + quote);
		CHECK_EQ(error[6], 58);
		CHECK_MEM(error + 8, p + 24, 16);
		CHECK_MEM(error + 24, p + 8, 16);
		CHECK_EQ(error[40], 1);
		CHECK_EQ(error[41], 3);
		CHECK_MEM(error + 48, p, quote);
		CHECK_EQ(slow_sum(slow_sum(slow_sum(0, error + 8, 32), pseudo, 8), error + 40,
				 8 + quote), 0xffff);
	}
}

static size_t v4_with(size_t at, uint32_t value, unsigned bytes)
{
	struct packet_spec s = {.src = 1, .dst = 2, .ttl = 64};
	uint8_t p[100];
	size_t len = packet_build(p, &s, payload, 20);

	for (unsigned i = 0; i < bytes; i++)
		p[at + i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
	return icmp_unreachable(p, len, error);
}

static void v4_silence(void)
{
	static const uint8_t errors[] = {3, 4, 5, 11, 12}, queries[] = {0, 8, 9, 10, 13, 14, 17};

	CHECK(v4_with(0, 0x45, 1) > 0);
	CHECK(v4_with(6, 0x2000, 2) > 0);	/* the first fragment */
	CHECK_EQ(v4_with(6, 0x2001, 2), 0);
	CHECK_EQ(v4_with(6, 0x0001, 2), 0);
	CHECK_EQ(v4_with(6, 0x1000, 2), 0);
	for (unsigned end = 12; end <= 16; end += 4) {
		CHECK_EQ(v4_with(end, 0, 4), 0);
		CHECK_EQ(v4_with(end, 0x7f000001, 4), 0);
		CHECK_EQ(v4_with(end, 0xe0000001, 4), 0);
		CHECK_EQ(v4_with(end, 0xefffffff, 4), 0);
		CHECK_EQ(v4_with(end, 0xffffffff, 4), 0);
		CHECK(v4_with(end, 0xdf000001, 4) > 0);
	}
	for (size_t i = 0; i < sizeof(errors); i++) {
		struct packet_spec s = {.src = 1, .dst = 2};
		uint8_t p[100];
		size_t len = packet_build(p, &s, payload, 20);

		p[9] = 1;
		p[20] = errors[i];
		CHECK_EQ(icmp_unreachable(p, len, error), 0);
	}
	for (size_t i = 0; i < sizeof(queries); i++) {
		struct packet_spec s = {.src = 1, .dst = 2};
		uint8_t p[100];
		size_t len = packet_build(p, &s, payload, 20);

		p[9] = 1;
		p[20] = queries[i];
		CHECK(icmp_unreachable(p, len, error) > 0);
	}
}

/* An IPv6 packet with ${next} and these bytes behind the header. */
static size_t v6_chain(uint8_t next, const char *hex)
{
	struct packet_spec s = {.v6 = true, .src = 1, .dst = 2};
	uint8_t p[200];
	size_t n;

	packet_build(p, &s, payload, 0);
	n = test_unhex(hex, p + 40, 160);
	p[6] = next;
	put_be16(p + 4, (uint16_t)n);
	return icmp_unreachable(p, 40 + n, error);
}

static void v6_silence(void)
{
	CHECK(v6_chain(17, "0001000200080000") > 0);
	CHECK(v6_chain(59, "") > 0);
	CHECK_EQ(v6_chain(58, "0100000000000000"), 0);
	CHECK_EQ(v6_chain(58, "7f00000000000000"), 0);
	CHECK(v6_chain(58, "8000000000000000") > 0);
	CHECK_EQ(v6_chain(58, ""), 0);
	/* Behind extension headers. */
	CHECK_EQ(v6_chain(0, "3a00010400000000 0100000000000000"), 0);
	CHECK(v6_chain(0, "3a00010400000000 8000000000000000") > 0);
	CHECK_EQ(v6_chain(60, "3c00010400000000 3a00010400000000 0300000000000000"), 0);
	CHECK_EQ(v6_chain(44, "3a00000100000001 0300000000000000"), 0);
	CHECK(v6_chain(44, "1100000100000001 0001000200080000") > 0);
	CHECK_EQ(v6_chain(44, "1100000800000001 0001000200080000"), 0);
	CHECK_EQ(v6_chain(44, "11000001"), 0);
	/* A chain that leads out of the packet. */
	CHECK_EQ(v6_chain(0, "11ff010400000000 0001000200080000"), 0);
	CHECK_EQ(v6_chain(43, "3a"), 0);
	for (unsigned end = 8; end <= 24; end += 16) {
		struct packet_spec s = {.v6 = true, .src = 1, .dst = 2};
		uint8_t p[100];
		size_t len = packet_build(p, &s, payload, 4);

		memset(p + end, 0, 16);
		CHECK_EQ(icmp_unreachable(p, len, error), 0);
		p[end + 15] = 1;
		CHECK_EQ(icmp_unreachable(p, len, error), 0);
		p[end] = 0xff;
		CHECK_EQ(icmp_unreachable(p, len, error), 0);
		p[end] = 0xfd;
		CHECK(icmp_unreachable(p, len, error) > 0);
	}
}

/* Every length of random bytes, in memory of exactly that length. */
static void hostile(void)
{
	uint64_t seed = 5;
	unsigned built = 0;

	for (unsigned i = 0; i < 200000; i++) {
		size_t len = test_random(&seed) % 120, n;
		uint8_t *p = malloc(len ? len : 1);

		packet_random_bytes(&seed, p, len);
		if (len)
			p[0] = (uint8_t)(i % 2 ? 0x45 : 0x60);
		if (len >= 40) {
			put_be16(p + (i % 2 ? 2 : 4), (uint16_t)(i % 2 ? len : len - 40));
			p[6] = (uint8_t)(i % 2 ? 0 : (uint8_t[]){0, 43, 44, 60, 58}[test_random(&seed) % 5]);
		}
		n = icmp_unreachable(p, len, error);
		CHECK(n <= ICMP_UNREACHABLE_MAX);
		built += n > 0;
		free(p);
	}
	CHECK(built > 1000);
}

static void bucket(void)
{
	struct icmp_limit l = {0};
	uint64_t now = 123456789;
	unsigned taken = 0;

	for (unsigned i = 0; i < 1000; i++)
		taken += icmp_limit_take(&l, now);
	CHECK_EQ(taken, 50);
	CHECK(!icmp_limit_take(&l, now + 999999));
	CHECK(icmp_limit_take(&l, now + 1000000));
	CHECK(!icmp_limit_take(&l, now + 1000000));
	taken = 0;
	for (unsigned i = 0; i < 1000; i++)
		taken += icmp_limit_take(&l, now + UINT64_C(3600000000000));
	CHECK_EQ(taken, 50);
}

int main(void)
{
	uint64_t seed = 3;

	packet_random_bytes(&seed, payload, sizeof(payload));
	test_run("an IPv4 sender is told host unreachable, from the destination's address [tx-no-peer-icmp4]", v4_error);
	test_run("an IPv6 sender is told address unreachable [tx-no-peer-icmp6]", v6_error);
	test_run("IPv4 packets that must not be answered are not [tx-icmp-limited]", v4_silence);
	test_run("IPv6 packets that must not be answered are not [tx-icmp-limited]", v6_silence);
	test_run("random bytes are never overrun", hostile);
	test_run("fifty errors at once, then one a millisecond [tx-icmp-limited]", bucket);
	return test_done();
}
