#include "office/flows.h"

#include "conf/array.h"
#include "office/ipv4.h"
#include "office/netfilter.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#define TUPLE_MAX 128

/* What names a flow to the kernel: its tuple as the kernel wrote it, and its number. */
struct flow {
	uint8_t		tuple[TUPLE_MAX];
	uint16_t	len;
	uint32_t	id;
};

struct flow_list {
	const struct prefix	*from, *lan;
	size_t			 n_from;
	bool			 translated;
	const struct ifaddrs	*own;
	struct flow		*flows;
	size_t			 n, room;
	int			 error;
};

static void flow_list_done(struct flow_list *l)
{
	free(l->flows);
}

static void free_addresses(struct ifaddrs **a)
{
	if (*a)
		freeifaddrs(*a);
}

static void read_addresses(const struct nlattr *tuple, uint32_t *ret_from, uint32_t *ret_to)
{
	const struct nlattr *a, *b;

	mnl_attr_for_each_nested(a, tuple)
	{
		if (mnl_attr_get_type(a) != CTA_TUPLE_IP)
			continue;
		mnl_attr_for_each_nested(b, a)
		{
			if (mnl_attr_get_type(b) == CTA_IP_V4_SRC)
				*ret_from = netfilter_be32(b);
			if (mnl_attr_get_type(b) == CTA_IP_V4_DST)
				*ret_to = netfilter_be32(b);
		}
	}
}

static bool is_own(const struct flow_list *l, uint32_t address)
{
	for (const struct ifaddrs *a = l->own; a; a = a->ifa_next) {
		const struct sockaddr_in *in = (const void *)a->ifa_addr;

		if (in && in->sin_family == AF_INET && ntohl(in->sin_addr.s_addr) == address)
			return true;
	}
	return false;
}

static bool is_between(const struct flow_list *l, uint32_t from, uint32_t to)
{
	const struct prefix target = ipv4_prefix(to, 32), source = ipv4_prefix(from, 32);
	bool found = false;

	for (size_t i = 0; i < l->n_from && !found; i++)
		found = ipv4_holds(&l->from[i], &source);
	return found && ipv4_holds(l->lan, &target) && !is_own(l, to);
}

static int see_flow(const struct nlmsghdr *nlh, void *arg)
{
	struct flow_list *l = arg;
	struct flow f = {.len = 0};
	const struct nlattr *attr, *tuple = NULL;
	uint32_t from = 0, to = 0, status = 0;
	bool zone = false;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		switch (mnl_attr_get_type(attr)) {
		case CTA_TUPLE_ORIG:
			tuple = attr;
			read_addresses(attr, &from, &to);
			break;
		case CTA_STATUS:
			status = netfilter_be32(attr);
			break;
		case CTA_ID:
			f.id = mnl_attr_get_u32(attr);
			break;
		case CTA_ZONE:
			zone = true;
			break;
		default:
			break;
		}
	}
	/* Who has zones has flows of others there. */
	if (!tuple || zone || !is_between(l, from, to) || l->translated == ((status & IPS_SRC_NAT) != 0))
		return MNL_CB_OK;
	f.len = mnl_attr_get_payload_len(tuple);
	if (f.len > sizeof(f.tuple))
		return MNL_CB_OK;
	memcpy(f.tuple, mnl_attr_get_payload(tuple), f.len);
	if (array_grow(&l->flows, &l->room, l->n, sizeof(f)))
		l->flows[l->n++] = f;
	else
		l->error = -ENOMEM;
	return MNL_CB_OK;
}

static int forget(const struct flow *f)
{
	char message[NETFILTER_MESSAGE_MAX];
	struct nlmsghdr *nlh = netfilter_begin(message, NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, AF_INET);

	mnl_attr_put(nlh, CTA_TUPLE_ORIG | NLA_F_NESTED, f->len, f->tuple);
	mnl_attr_put_u32(nlh, CTA_ID, f->id);
	return netfilter_exchange(nlh, NULL, NULL);
}

int flows_forget(const struct prefix from[], size_t n, const struct prefix *lan, bool translated, size_t *ret_n)
{
	struct flow_list l = {.from = from, .lan = lan, .n_from = n, .translated = translated};
	cleanup(free_addresses) struct ifaddrs *own = NULL;
	char message[NETFILTER_MESSAGE_MAX];
	size_t forgotten = 0;
	int r;

	if (getifaddrs(&own) < 0)
		return -errno;
	l.own = own;
	r = netfilter_exchange(netfilter_begin(message, NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_INET),
		see_flow, &l);
	r = r < 0 ? r : l.error;
	for (size_t i = 0; i < l.n && r == 0; i++) {
		r = forget(&l.flows[i]);
		forgotten += r == 0;
		/* It has ended by itself. */
		r = r == -ENOENT ? 0 : r;
	}
	flow_list_done(&l);
	if (r < 0)
		/* Of a kernel without it nothing answers. */
		return r == -EINVAL && !forgotten ? 0 : r;
	*ret_n = forgotten;
	return 0;
}
