/* office/probe.c - see office/probe.h. */
#include "office/probe.h"

#include "base/clock.h"

#include <errno.h>
#include <linux/filter.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>

/*
 * A bare acknowledgement that does not come back proves nothing by itself: it may be late, or lost.
 * So behind each goes the opening of another flow.  A gateway that keeps the order and returns this
 * one has dropped the other; three of three, and it was no accident.
 */
#define ROUNDS 3
#define FLOWS_MAX 64
#define RESEND_MS 250
#define TTL 2
#define PORT 443
#define PACKET_MAX 256
#define IP_HEADER 20
#define TCP_HEADER 20

struct arp {
	struct arphdr	head;
	uint8_t		sender_mac[ETH_ALEN], sender[4], target_mac[ETH_ALEN], target[4];
} __attribute__((packed));

struct probe {
	int			fd;
	struct sockaddr_ll	link;		/* of the device, then of the gateway */
	uint32_t		own, gateway, target;
	uint64_t		deadline_ns;
	uint16_t		id, port;	/* of the first flow; the next have the next ones */
	unsigned		n_flows;
	bool			opening_returned[FLOWS_MAX], bare_returned, went_on;
};

static uint64_t soon(const struct probe *p)
{
	return min(p->deadline_ns, clock_ns(CLOCK_MONOTONIC) + RESEND_MS * (uint64_t)1000000);
}

/* Whether there is something to be read before that time. */
static bool is_readable(int fd, uint64_t until_ns)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	return now < until_ns && poll(&poll_fd, 1, (int)((until_ns - now) / 1000000 + 1)) > 0;
}

/* --- the gateway's link address */

static int open_packets(const char *device, uint16_t protocol, struct sockaddr_ll *ret_link)
{
	cleanup(close_fd) int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unsigned index = if_nametoindex(device);
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = (int)index};
	socklen_t len = sizeof(*ret_link);
	int opened;

	if (!index)
		return -ENODEV;
	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
		getsockname(fd, (struct sockaddr *)ret_link, &len) < 0)
		return -errno;
	opened = fd;
	fd = -1;
	return opened;
}

/* What the queue has no room for, or a cable that is out, is a frame that was lost on the way. */
static int sent(int fd, const void *frame, size_t len, const struct sockaddr_ll *to)
{
	if (sendto(fd, frame, len, 0, (const struct sockaddr *)to, sizeof(*to)) < 0)
		return errno == ENOBUFS || errno == EAGAIN ? 0 : -errno;
	return 0;
}

static int ask(const struct probe *p, int fd)
{
	struct sockaddr_ll to = p->link;
	struct arp arp = {.head = {.ar_hrd = htons(ARPHRD_ETHER), .ar_pro = htons(ETH_P_IP), .ar_hln = ETH_ALEN,
		.ar_pln = 4, .ar_op = htons(ARPOP_REQUEST)}};

	memcpy(arp.sender_mac, p->link.sll_addr, ETH_ALEN);
	memcpy(arp.sender, &p->own, 4);
	memcpy(arp.target, &p->gateway, 4);
	to.sll_halen = ETH_ALEN;
	memset(to.sll_addr, 0xff, ETH_ALEN);
	return sent(fd, &arp, sizeof(arp), &to);
}

/* Whether this is the gateway's answer; then its address is taken. */
static bool take_answer(struct probe *p, const struct arp *arp)
{
	if (arp->head.ar_op != htons(ARPOP_REPLY) || arp->head.ar_hln != ETH_ALEN || arp->head.ar_pln != 4 ||
		memcmp(arp->sender, &p->gateway, 4) != 0)
		return false;
	p->link.sll_halen = ETH_ALEN;
	memcpy(p->link.sll_addr, arp->sender_mac, ETH_ALEN);
	return true;
}

static int find_gateway(struct probe *p, const char *device)
{
	cleanup(close_fd) int fd = open_packets(device, ETH_P_ARP, &p->link);

	if (fd < 0)
		return fd;
	while (clock_ns(CLOCK_MONOTONIC) < p->deadline_ns) {
		const uint64_t until = soon(p);
		int r = ask(p, fd);

		if (r < 0)
			return r;
		while (is_readable(fd, until)) {
			struct arp arp;

			if (recv(fd, &arp, sizeof(arp), 0) == (ssize_t)sizeof(arp) && take_answer(p, &arp))
				return 0;
		}
	}
	return -EHOSTUNREACH;
}

/* --- segments */

static uint32_t sum16(const uint8_t *bytes, size_t len, uint32_t sum)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += get_be16(bytes + i);
	return sum;
}

static uint16_t checksum(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* send_segment(p, flow, opening): the SYN of a flow, or the ACK that would be its third segment. */
static int send_segment(struct probe *p, unsigned flow, bool opening)
{
	uint8_t s[IP_HEADER + TCP_HEADER] = {0x45}, *tcp = s + IP_HEADER;

	put_be16(s + 2, sizeof(s));
	put_be16(s + 4, p->id++);
	s[8] = TTL;
	s[9] = IPPROTO_TCP;
	memcpy(s + 12, &p->own, 4);
	memcpy(s + 16, &p->target, 4);
	put_be16(s + 10, checksum(sum16(s, IP_HEADER, 0)));
	put_be16(tcp, (uint16_t)(p->port + flow));
	put_be16(tcp + 2, PORT);
	put_be32(tcp + 4, flow * 65536 + !opening);
	put_be32(tcp + 8, !opening);
	tcp[12] = TCP_HEADER / 4 << 4;
	tcp[13] = opening ? TH_SYN : TH_ACK;
	put_be16(tcp + 14, 65535);
	put_be16(tcp + 16, checksum(sum16(s + 12, sizeof(s) - 12, IPPROTO_TCP + TCP_HEADER)));
	return sent(p->fd, s, sizeof(s), &p->link);
}

static int open_flow(struct probe *p)
{
	return send_segment(p, p->n_flows++, true);
}

/* The flow of a segment that is ours, or -1. */
static int flow_of(const struct probe *p, const struct iphdr *ip, const uint8_t *tcp)
{
	const unsigned flow = (uint16_t)(get_be16(tcp) - p->port);

	if (ip->protocol != IPPROTO_TCP || ip->saddr != p->own || ip->daddr != p->target || get_be16(tcp + 2) != PORT)
		return -1;
	return flow < p->n_flows ? (int)flow : -1;
}

static void take_packet(struct probe *p, const uint8_t *packet, size_t len)
{
	struct iphdr ip, inner;
	size_t at;

	if (len < sizeof(ip))
		return;
	memcpy(&ip, packet, sizeof(ip));
	at = (size_t)ip.ihl * 4;
	if (at < sizeof(ip))
		return;
	if (len >= at + sizeof(struct tcphdr)) {
		int flow = flow_of(p, &ip, packet + at);

		if (flow >= 0 && ip.ttl < TTL) {
			if (packet[at + 13] & TH_SYN)
				p->opening_returned[flow] = true;
			else
				p->bare_returned = true;
			return;
		}
	}
	/* What an ICMP error quotes: a header and 8 bytes. */
	if (ip.protocol != IPPROTO_ICMP || ip.daddr != p->own || len < at + 8 + sizeof(inner) + 8 ||
		(packet[at] != ICMP_TIME_EXCEEDED && packet[at] != ICMP_DEST_UNREACH))
		return;
	memcpy(&inner, packet + at + 8, sizeof(inner));
	if (inner.ihl == 5 && flow_of(p, &inner, packet + at + 8 + sizeof(inner)) >= 0)
		p->went_on = true;
}

/* Take in one packet; false: none came before that time. */
static bool next_packet(struct probe *p, uint64_t until_ns)
{
	uint8_t packet[PACKET_MAX] = {0};
	ssize_t n;

	if (!is_readable(p->fd, until_ns))
		return false;
	n = recv(p->fd, packet, sizeof(packet), 0);
	if (n > 0)
		take_packet(p, packet, (size_t)n);
	return true;
}

/* --- what it does with them */

static bool may_try(const struct probe *p)
{
	return p->n_flows < FLOWS_MAX && clock_ns(CLOCK_MONOTONIC) < p->deadline_ns;
}

/* Whether the gateway has the route.  1, 0 or negative errno. */
static int does_return(struct probe *p)
{
	while (may_try(p)) {
		const uint64_t until = soon(p);
		int r = open_flow(p);

		if (r < 0)
			return r;
		while (next_packet(p, until)) {
			for (unsigned i = 0; i < p->n_flows; i++) {
				if (p->opening_returned[i])
					return 1;
			}
			if (p->went_on)
				return 0;
		}
	}
	return 0;
}

/* Whether it drops what follows in a flow of which it has seen one side.  1, 0 or negative errno. */
static int is_strict(struct probe *p)
{
	unsigned flow = 0, rounds = 0;

	while (!p->opening_returned[flow])
		flow++;
	while (rounds < ROUNDS && may_try(p)) {
		const uint64_t until = soon(p);
		const unsigned control = p->n_flows;
		int r = send_segment(p, flow, false);

		r = r < 0 ? r : open_flow(p);
		if (r < 0)
			return r;
		while (!p->opening_returned[control] && !p->bare_returned && next_packet(p, until))
			;
		if (p->bare_returned)
			return 0;
		if (p->opening_returned[control]) {
			rounds++;
			flow = control;
		}
	}
	return 1;
}

/* A busy LAN's other packets are left where they are. */
static int set_filter(const struct probe *p)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, offsetof(struct iphdr, protocol)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMP, 2, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct iphdr, saddr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohl(p->own), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, PACKET_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = {.len = array_size(code), .filter = code};

	return setsockopt(p->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno : 0;
}

static int run(struct probe *p, enum return_mode *ret)
{
	int r = set_filter(p);

	r = r < 0 ? r : does_return(p);
	if (r <= 0) {
		*ret = r < 0 ? *ret : RETURN_SNAT;
		return r;
	}
	r = is_strict(p);
	if (r < 0)
		return r;
	*ret = r ? RETURN_ROUTE_GW : RETURN_ROUTE;
	return 0;
}

int probe_gateway(const char *device, const struct prefix *own, const struct prefix *gateway,
	const struct prefix *target, int timeout_ms, enum return_mode *ret)
{
	struct probe p = {.deadline_ns = clock_ns(CLOCK_MONOTONIC) + (timeout_ms > 0 ? (uint64_t)timeout_ms * 1000000 : 0)};
	struct sockaddr_ll unused;
	uint16_t fresh[2];
	int r;

	if (own->family != AF_INET || gateway->family != AF_INET || target->family != AF_INET)
		return -EAFNOSUPPORT;
	memcpy(&p.own, own->bytes, 4);
	memcpy(&p.gateway, gateway->bytes, 4);
	memcpy(&p.target, target->bytes, 4);
	/* Never those of an earlier probe: the gateway may remember its flows. */
	if (getrandom(fresh, sizeof(fresh), 0) != (ssize_t)sizeof(fresh))
		return -EIO;
	p.id = fresh[0];
	p.port = (uint16_t)(32768 + fresh[1] % (32768 - FLOWS_MAX));
	r = find_gateway(&p, device);
	if (r < 0)
		return r;
	p.link.sll_protocol = htons(ETH_P_IP);
	p.fd = open_packets(device, ETH_P_IP, &unused);
	if (p.fd < 0)
		return p.fd;
	r = run(&p, ret);
	close(p.fd);
	return r;
}
