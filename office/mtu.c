#include "office/mtu.h"

#include "base/clock.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/random.h>

#define ROUNDS 3	/* lost so often, with the small echo behind it answered, and it was no accident */
#define RESEND_MS 500
#define GRACE_MS 200	/* for what was overtaken */
#define SILENT_MS 2000	/* nothing at all in that time, and nobody answers */
#define SMALL 64
#define PACKET_MAX 65536
#define ICMP_HEADER 8
#define WIREGUARD 32	/* header and tag of a message that carries data */

struct echo {
	int		fd;
	bool		v6;
	uint16_t	id, seq;
	uint64_t	deadline_ns;
	unsigned	best;		/* the largest answered */
	uint16_t	large, small;	/* those of this round */
	size_t		large_len;	/* of the message */
	bool		large_came, small_came;
	uint8_t		packet[PACKET_MAX];
};

unsigned mtu_overhead(int family)
{
	return (family == AF_INET6 ? 40 : 20) + 8 + WIREGUARD;
}

static uint64_t now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t in_ms(const struct echo *e, unsigned ms)
{
	return min(e->deadline_ns, now() + ms * (uint64_t)1000000);
}

static unsigned ip_header(const struct echo *e)
{
	return e->v6 ? 40 : 20;
}

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int open_socket(struct echo *e, const struct sockaddr_storage *to)
{
	int r;

	e->v6 = to->ss_family == AF_INET6;
	e->fd = socket(to->ss_family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, e->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	if (e->fd < 0)
		return -errno;
	r = e->v6 ? set_int(e->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE)
		  : set_int(e->fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
	if (r == 0 && e->v6)
		r = set_int(e->fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
	if (r == 0 && connect(e->fd, (const struct sockaddr *)to,
				e->v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)) < 0)
		r = -errno;
	return r;
}

static uint16_t checksum(const uint8_t *bytes, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)bytes[i] << 8 | (i + 1 < len ? bytes[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Send an echo in an IP packet of ${size} bytes.  1; 0: it is too large for this machine; negative errno. */
static int send_echo(struct echo *e, unsigned size, uint16_t *ret_seq)
{
	const size_t len = size - ip_header(e);
	uint8_t *p = e->packet;

	memset(p, 0, len);
	p[0] = e->v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
	put_be16(p + 4, e->id);
	put_be16(p + 6, ++e->seq);
	*ret_seq = e->seq;
	/* The kernel does it for ICMPv6. */
	if (!e->v6)
		put_be16(p + 2, checksum(p, len));
	/* An error of an earlier packet is reported now. */
	for (int i = 0; i < ROUNDS; i++) {
		if (send(e->fd, p, len, 0) >= 0)
			return 1;
		if (errno == EAGAIN || errno == ENOBUFS)
			return 1;
		if (errno != EMSGSIZE && errno != EHOSTUNREACH && errno != ENETUNREACH && errno != ECONNREFUSED)
			return -errno;
	}
	return errno == EMSGSIZE ? 0 : -errno;
}

static void take(struct echo *e, const uint8_t *p, size_t len)
{
	if (!e->v6) {
		size_t header = len ? (size_t)(p[0] & 15) * 4 : 0;

		if (len < header + ICMP_HEADER)
			return;
		p += header;
		len -= header;
	}
	if (len < ICMP_HEADER || p[0] != (e->v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) || get_be16(p + 4) != e->id)
		return;
	/* Some answer with less than they were asked with, which says nothing of the way back. */
	e->large_came |= get_be16(p + 6) == e->large && len == e->large_len;
	e->small_came |= get_be16(p + 6) == e->small;
}

/* Take in what comes, also what has come while this program could not look; false: nothing before that time. */
static bool next(struct echo *e, uint64_t until_ns)
{
	struct pollfd fd = {.fd = e->fd, .events = POLLIN};
	uint64_t at = now();
	ssize_t n;

	/* Who sends without end is not listened to without end. */
	if (at > e->deadline_ns + GRACE_MS * (uint64_t)1000000)
		return false;
	if (poll(&fd, 1, at < until_ns ? (int)((until_ns - at) / 1000000 + 1) : 0) <= 0)
		return false;
	n = recv(e->fd, e->packet, sizeof(e->packet), 0);
	if (n > 0)
		take(e, e->packet, (size_t)n);
	return true;
}

/* Whether it is answered: 1, 0; -ETIMEDOUT: neither it nor small ones are; other negative errno. */
static int passes(struct echo *e, unsigned size, uint64_t silent_ns)
{
	unsigned lost = 0;

	for (unsigned i = 0; lost < ROUNDS && now() < (i < ROUNDS ? e->deadline_ns : min(e->deadline_ns, silent_ns)); i++) {
		const uint64_t sent = now(), until = in_ms(e, RESEND_MS);
		int r;

		e->large_came = e->small_came = false;
		e->large_len = size - ip_header(e);
		r = send_echo(e, size, &e->large);
		if (r == 1)
			r = send_echo(e, SMALL, &e->small);
		if (r <= 0)
			return r;
		while (!e->large_came && !e->small_came && next(e, until))
			;
		if (!e->large_came && e->small_came) {
			const uint64_t late = now() + min(now() - sent, GRACE_MS * (uint64_t)1000000);

			while (!e->large_came && next(e, min(late, e->deadline_ns)))
				;
			lost++;
		}
		if (e->large_came) {
			e->best = max(e->best, size);
			return 1;
		}
	}
	return lost == ROUNDS ? 0 : -ETIMEDOUT;
}

static int search(struct echo *e, unsigned least, unsigned most)
{
	int r = passes(e, most, now() + SILENT_MS * (uint64_t)1000000);

	if (r == 0 && least < most)
		r = passes(e, least, UINT64_MAX);
	if (r != 1 || e->best == most)
		return r < 0 ? r : 0;
	/* What is answered, and what is not. */
	while (r >= 0 && most - least > 1) {
		const unsigned middle = least + (most - least) / 2;

		r = passes(e, middle, UINT64_MAX);
		if (r == 1)
			least = middle;
		else
			most = middle;
	}
	return r == -ETIMEDOUT ? 0 : min(r, 0);
}

int mtu_echo(const struct sockaddr_storage *to, unsigned least, unsigned most, int timeout_ms, unsigned *ret)
{
	cleanup(free_ptr) struct echo *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->deadline_ns = now() + (uint64_t)max(timeout_ms, 0) * 1000000;
	if (getrandom(&e->id, sizeof(e->id), 0) != (ssize_t)sizeof(e->id))
		return -EIO;
	r = open_socket(e, to);
	if (r == 0)
		r = search(e, least, most);
	if (e->fd >= 0)
		close(e->fd);
	if (r == 0)
		*ret = e->best;
	return r;
}
