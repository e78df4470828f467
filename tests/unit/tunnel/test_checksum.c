#include "base/test.h"
#include "tunnel/checksum.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* RFC 1071, word by word, with the carry brought round at once. */
static uint16_t naive(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
		if (sum > 0xffff)
			sum = (sum & 0xffff) + 1;
	}
	return (uint16_t)sum;
}

/* The folded sum as it would lie in a header. */
static uint16_t in_header(uint64_t sum)
{
	uint8_t bytes[2];

	checksum_store(bytes, checksum_fold(sum));
	return get_be16(bytes);
}

static void every_length(void)
{
	uint64_t seed = 1;
	uint8_t *room = malloc(65536 + 64);

	for (size_t i = 0; i < 65536 + 64; i++)
		room[i] = (uint8_t)test_random(&seed);
	for (size_t len = 0; len < 700; len++)
		for (size_t at = 0; at < 36; at++) {
			CHECK_EQ(in_header(checksum_add(0, room + at, len)), naive(0, room + at, len));
			CHECK_EQ(in_header(checksum_add_portable(0, room + at, len)),
				naive(0, room + at, len));
		}
	for (unsigned i = 0; i < 300; i++) {
		size_t at = test_random(&seed) % 64, len = test_random(&seed) % 65536;

		CHECK_EQ(in_header(checksum_add(0, room + at, len)), naive(0, room + at, len));
	}
	free(room);
}

/* Exactly as long as the memory: reading behind it is seen by the sanitizer. */
static void no_overrun(void)
{
	for (size_t len = 1; len < 300; len++) {
		uint8_t *p = malloc(len);

		memset(p, 0xff, len);
		CHECK_EQ(in_header(checksum_add(0, p, len)), len % 2 ? 0xff00 : 0xffff);
		free(p);
	}
}

/* A page behind that nobody may read: this stops vector instructions too, of which no sanitizer knows all. */
static void end_of_memory(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	memset(p, 0xff, page);
	CHECK_EQ(mprotect(p + page, page, PROT_NONE), 0);
	for (size_t len = 0; len < 300; len++)
		CHECK_EQ(in_header(checksum_add(0, p + page - len, len)),
			naive(0, p + page - len, len));
	munmap(p, 2 * page);
}

/* Of more than a packet can have. */
static void long_ones(void)
{
	size_t max = 3u << 20;
	uint8_t *p = malloc(max);

	for (unsigned byte = 0; byte < 256; byte += 51) {
		memset(p, (int)byte, max);
		for (size_t len = 1u << 17; len <= max; len += (1u << 17) - 1)
			CHECK_EQ(in_header(checksum_add(0, p, len)), naive(0, p, len));
		CHECK_EQ(in_header(checksum_add(0, p, 1u << 19)), naive(0, p, 1u << 19));
	}
	free(p);
}

static void extremes(void)
{
	uint8_t *p = malloc(65535);

	memset(p, 0xff, 65535);
	CHECK_EQ(in_header(checksum_add(0, p, 65534)), 0xffff);
	memset(p, 0, 65535);
	CHECK_EQ(in_header(checksum_add(0, p, 65535)), 0);
	CHECK_EQ(in_header(checksum_add(UINT64_C(0xffffffff00000000), p, 65535)), 0xffff);
	free(p);
}

static void in_pieces(void)
{
	uint64_t seed = 7;
	uint8_t p[4096];

	for (size_t i = 0; i < sizeof(p); i++)
		p[i] = (uint8_t)test_random(&seed);
	for (unsigned i = 0; i < 2000; i++) {
		size_t cut = test_random(&seed) % 2048 * 2, len = sizeof(p) - test_random(&seed) % 2;

		CHECK_EQ(in_header(checksum_add(checksum_add(0, p, cut), p + cut, len - cut)),
			naive(0, p, len));
	}
}

static void known(void)
{
	/* The example of RFC 1071, section 3. */
	static const uint8_t rfc[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	/* A real IPv4/UDP header pair: "10.0.0.1:1 -> 10.0.0.2:2, no payload". */
	uint8_t v4[28], v6[48], pseudo[40];

	CHECK_EQ(in_header(checksum_add(0, rfc, sizeof(rfc))), 0xddf2);
	test_unhex("4500001c00000000401166cf0a0000010a000002 0001 0002 0008 0000", v4, sizeof(v4));
	CHECK_EQ(in_header(checksum_add(0, v4, 20)), 0xffff);
	memcpy(pseudo, v4 + 12, 8);
	test_unhex("00110008", pseudo + 8, 4);
	CHECK_EQ(in_header(checksum_pseudo(v4, 17, 8)), naive(0, pseudo, 12));
	memset(v6, 0x5a, sizeof(v6));
	v6[0] = 0x60;
	memcpy(pseudo, v6 + 8, 32);
	test_unhex("0001ffff 00000006", pseudo + 32, 8);
	CHECK_EQ(in_header(checksum_pseudo(v6, 6, 0x1ffff)), naive(0, pseudo, 40));
}

int main(void)
{
	test_run("the sum is RFC 1071's for every length and alignment [checksum]", every_length);
	test_run("nothing behind the last byte is read", no_overrun);
	test_run("nor where that would be a fault", end_of_memory);
	test_run("the sum of megabytes is right too", long_ones);
	test_run("all ones and all zeroes sum as they should, and carries are not lost", extremes);
	test_run("sums of even pieces add up", in_pieces);
	test_run("published examples come out, and both pseudo-headers", known);
	return test_done();
}
