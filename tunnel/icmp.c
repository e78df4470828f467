#include "tunnel/icmp.h"
#include "tunnel/checksum.h"

#include <netinet/in.h>

#define IPV4_ERROR_MAX 576 /* RFC 1812 4.3.2.3 */
#define TTL 64
#define BURST 50
#define INTERVAL_NS 1000000

/* Nobody to tell, or an address that is no single host's. */
static bool v4_is_host(const uint8_t *a)
{
	return a[0] != 0 && a[0] != 127 && a[0] < 224;
}

static bool v6_is_host(const uint8_t *a)
{
	static const uint8_t low[15];

	/* Multicast; the unspecified address and loopback. */
	return a[0] != 0xff && (memcmp(a, low, sizeof(low)) != 0 || a[15] > 1);
}

static bool v4_is_error(uint8_t type)
{
	/* Unreachable, source quench, redirect, time exceeded, parameter problem. */
	return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static size_t v4_unreachable(const uint8_t *p, size_t len, uint8_t *ret)
{
	size_t header, total, quote;
	uint8_t *icmp = ret + 20;

	header = (size_t)(p[0] & 15) * 4;
	total = len < 20 ? 0 : get_be16(p + 2);
	if (len < 20 || header < 20 || header > len || total < header || total > len)
		return 0;
	if (get_be16(p + 6) & 0x1fff || !v4_is_host(p + 12) || !v4_is_host(p + 16))
		return 0;
	if (p[9] == IPPROTO_ICMP && (total == header || v4_is_error(p[header])))
		return 0;

	quote = min(total, (size_t)IPV4_ERROR_MAX - 28);
	memset(ret, 0, 28);
	ret[0] = 0x45;
	ret[1] = 0xc0; /* internetwork control, RFC 1812 4.3.2.5 */
	put_be16(ret + 2, (uint16_t)(28 + quote));
	ret[8] = TTL;
	ret[9] = IPPROTO_ICMP;
	memcpy(ret + 12, p + 16, 4);
	memcpy(ret + 16, p + 12, 4);
	checksum_store(ret + 10, (uint16_t)~checksum_fold(checksum_add(0, ret, 20)));
	icmp[0] = 3;
	icmp[1] = 1;
	memcpy(icmp + 8, p, quote);
	checksum_store(icmp + 2, (uint16_t)~checksum_fold(checksum_add(0, icmp, 8 + quote)));
	return 28 + quote;
}

/*
 * Whether an ICMPv6 error may answer what is behind the IPv6 header: no error, no later fragment.
 */
static bool v6_may_answer(const uint8_t *p, size_t len)
{
	uint8_t next = p[6];
	size_t at = 40;

	for (;;) {
		switch (next) {
		case IPPROTO_ICMPV6:
			return at < len && p[at] >= 128;
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			if (at + 8 > len)
				return false;
			next = p[at];
			at += ((size_t)p[at + 1] + 1) * 8;
			break;
		case IPPROTO_FRAGMENT:
			if (at + 8 > len || get_be16(p + at + 2) & 0xfff8)
				return false;
			next = p[at];
			at += 8;
			break;
		default:
			return at <= len;
		}
	}
}

static size_t v6_unreachable(const uint8_t *p, size_t len, uint8_t *ret)
{
	size_t quote, total;
	uint8_t *icmp = ret + 40;

	total = len < 40 ? 0 : 40u + get_be16(p + 4);
	if (len < 40 || total > len)
		return 0;
	if (!v6_is_host(p + 8) || !v6_is_host(p + 24) || !v6_may_answer(p, total))
		return 0;
	quote = min(total, (size_t)ICMP_UNREACHABLE_MAX - 48);
	memset(ret, 0, 48);
	ret[0] = 0x60;
	put_be16(ret + 4, (uint16_t)(8 + quote));
	ret[6] = IPPROTO_ICMPV6;
	ret[7] = TTL;
	memcpy(ret + 8, p + 24, 16);
	memcpy(ret + 24, p + 8, 16);
	icmp[0] = 1;
	icmp[1] = 3;
	memcpy(icmp + 8, p, quote);
	checksum_store(icmp + 2,
		(uint16_t)~checksum_fold(
			checksum_add(checksum_pseudo(ret, IPPROTO_ICMPV6, (uint32_t)(8 + quote)),
				icmp, 8 + quote)));
	return 48 + quote;
}

size_t icmp_unreachable(const uint8_t *packet, size_t len, uint8_t ret[ICMP_UNREACHABLE_MAX])
{
	if (len == 0)
		return 0;
	if (packet[0] >> 4 == 4)
		return v4_unreachable(packet, len, ret);
	if (packet[0] >> 4 == 6)
		return v6_unreachable(packet, len, ret);
	return 0;
}

bool icmp_limit_take(struct icmp_limit *l, uint64_t now_ns)
{
	uint64_t full_at = max(l->full_at_ns, now_ns);

	if (full_at - now_ns > (uint64_t)(BURST - 1) * INTERVAL_NS)
		return false;
	l->full_at_ns = full_at + INTERVAL_NS;
	return true;
}
