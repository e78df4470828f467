/*
 * A packet that no peer takes: what is said about it is well-formed, goes to its sender, quotes it, and is never about an error.
 */
#include "fuzz/fuzz.h"
#include "tests/unit/tunnel/packets.h"
#include "tunnel/icmp.h"

/* By the letter of RFC 1122 3.2.2 and RFC 4443 2.4, one after the other. */
static bool is_icmp_error(const uint8_t *p, size_t len)
{
	size_t at = 40;
	uint8_t next;

	if (p[0] >> 4 == 4) {
		at = (p[0] & 15) * 4u;
		return p[9] == 1 && at < len && (p[at] == 3 || p[at] == 4 || p[at] == 5 || p[at] == 11 || p[at] == 12);
	}
	next = p[6];
	while (at + 8 <= len && (next == 0 || next == 43 || next == 44 || next == 60)) {
		size_t step = next == 44 ? 8 : 8u + p[at + 1] * 8u;

		next = p[at];
		at += step;
	}
	return next == 58 && at < len && p[at] < 128;
}

static void check(const uint8_t *p, size_t len, const uint8_t *e, size_t n)
{
	bool v6 = p[0] >> 4 == 6;
	size_t header = v6 ? 40 : 20, address = v6 ? 16 : 4, src = v6 ? 8 : 12, quote = n - header - 8;

	MUST(n > header + 8 && n <= (v6 ? ICMP_UNREACHABLE_MAX : 576));
	MUST(!memcmp(e + src, p + src + address, address));
	MUST(!memcmp(e + src + address, p + src, address));
	MUST(quote <= len && !memcmp(e + header + 8, p, quote));
	if (v6) {
		uint8_t rest[6] = {0, 0, (uint8_t)((8 + quote) >> 8), (uint8_t)(8 + quote), 0, 58};

		MUST(e[0] == 0x60 && e[6] == 58 && get_be16(e + 4) == 8 + quote);
		MUST(e[40] == 1 && e[41] == 3);
		MUST(slow_sum(slow_sum(slow_sum(0, e + 8, 32), rest, 6), e + 40, 8 + quote) == 0xffff);
		MUST(p[8] != 0xff && p[24] != 0xff);
	} else {
		MUST(e[0] == 0x45 && e[9] == 1 && get_be16(e + 2) == n && !(get_be16(e + 6) & 0x3fff));
		MUST(e[20] == 3 && e[21] == 1);
		MUST(slow_sum(0, e, 20) == 0xffff);
		MUST(slow_sum(0, e + 20, 8 + quote) == 0xffff);
		MUST(p[12] < 224 && p[16] < 224 && !(get_be16(p + 6) & 0x1fff));
	}
	MUST(!is_icmp_error(p, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup(free_ptr) uint8_t *packet = fuzz_copy(data, len), *ret = malloc(ICMP_UNREACHABLE_MAX);
	cleanup(free_ptr) uint8_t *error = NULL;
	size_t n;

	if (!ret)
		abort();
	n = icmp_unreachable(packet, len, ret);
	if (!n)
		return 0;
	check(packet, len, ret, n);
	error = fuzz_copy(ret, n);
	MUST(!icmp_unreachable(error, n, ret));
	return 0;
}
