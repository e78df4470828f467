#include "conf/kernel_messages.h"

#include "conf/array.h"
#include "conf/resolve.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/time_types.h>
#include <linux/wireguard.h>

#define PEER_ROOM 256		/* for all of a peer but its allowed IPs */
#define ALLOWED_ROOM 64		/* for one of these */

/* ---- from the kernel ---- */

/* Of that many bytes and no others, or NULL. */
static const void *bytes_of(const struct nlattr *attr, size_t len)
{
	return mnl_attr_get_payload_len(attr) == len ? mnl_attr_get_payload(attr) : NULL;
}

/* A number of that many bytes, on the lower end of ${ret}. */
static bool number_of(const struct nlattr *attr, size_t len, uint64_t *ret)
{
	uint8_t bytes[8] = {0};
	uint16_t v16;
	uint32_t v32;

	if (mnl_attr_get_payload_len(attr) != len)
		return false;
	memcpy(bytes, mnl_attr_get_payload(attr), len);
	memcpy(&v16, bytes, sizeof(v16));
	memcpy(&v32, bytes, sizeof(v32));
	memcpy(ret, bytes, sizeof(*ret));
	*ret = len == 1 ? bytes[0] : len == 2 ? v16 : len == 4 ? v32 : *ret;
	return true;
}

static bool put_key(const char *name, const struct nlattr *attr, struct buf *text)
{
	const void *key = bytes_of(attr, KEY_LEN);

	if (!key)
		return false;
	buf_printf(text, "%s=", name);
	buf_put_hex(text, key, KEY_LEN);
	buf_puts(text, "\n");
	return true;
}

static bool put_number(const char *name, const struct nlattr *attr, size_t len, struct buf *text)
{
	uint64_t number = 0;

	if (!number_of(attr, len, &number))
		return false;
	buf_printf(text, "%s=%llu\n", name, (unsigned long long)number);
	return true;
}

static bool put_endpoint(const struct nlattr *attr, struct buf *text)
{
	struct sockaddr_storage a = {.ss_family = AF_UNSPEC};
	size_t len = mnl_attr_get_payload_len(attr);

	memcpy(&a, mnl_attr_get_payload(attr), min(len, sizeof(a)));
	if (!(a.ss_family == AF_INET && len == sizeof(struct sockaddr_in)) &&
		!(a.ss_family == AF_INET6 && len == sizeof(struct sockaddr_in6)))
		return false;
	buf_puts(text, "endpoint=");
	text_put_address(&a, text);
	buf_puts(text, "\n");
	return true;
}

static bool put_handshake(const struct nlattr *attr, struct buf *text)
{
	struct __kernel_timespec t;
	const void *p = bytes_of(attr, sizeof(t));

	if (!p)
		return false;
	memcpy(&t, p, sizeof(t));
	if (t.tv_sec < 0 || t.tv_nsec < 0 || t.tv_nsec > 999999999)
		t = (struct __kernel_timespec){.tv_sec = 0};
	buf_printf(text, "last_handshake_time_sec=%lld\nlast_handshake_time_nsec=%lld\n", (long long)t.tv_sec,
		(long long)t.tv_nsec);
	return true;
}

static bool put_allowed(const struct nlattr *attr, struct buf *text)
{
	struct prefix p = {.family = 0};
	const struct nlattr *a;
	const void *address = NULL;
	uint64_t family = 0, bits = 256;
	bool good = true;

	mnl_attr_for_each_nested(a, attr)
	{
		if (mnl_attr_get_type(a) == WGALLOWEDIP_A_FAMILY)
			good = good && number_of(a, 2, &family);
		if (mnl_attr_get_type(a) == WGALLOWEDIP_A_CIDR_MASK)
			good = good && number_of(a, 1, &bits);
	}
	if (!good || (family != AF_INET && family != AF_INET6) || bits > (family == AF_INET ? 32 : 128))
		return false;
	mnl_attr_for_each_nested(a, attr)
		if (mnl_attr_get_type(a) == WGALLOWEDIP_A_IPADDR)
			address = bytes_of(a, family == AF_INET ? 4 : 16);
	if (!address)
		return false;
	p.family = (uint8_t)family;
	p.bits = (uint8_t)bits;
	memcpy(p.bytes, address, family == AF_INET ? 4 : 16);
	buf_puts(text, "allowed_ip=");
	text_put_prefix(&p, text);
	buf_puts(text, "\n");
	return true;
}

static bool put_list(const struct nlattr *attr, bool (*put)(const struct nlattr *, struct buf *), struct buf *text)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, attr)
		if (!put(a, text))
			return false;
	return true;
}

static bool put_of_peer(const struct nlattr *attr, struct buf *text)
{
	switch (mnl_attr_get_type(attr)) {
	case WGPEER_A_PRESHARED_KEY:
		return put_key("preshared_key", attr, text);
	case WGPEER_A_ENDPOINT:
		return put_endpoint(attr, text);
	case WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL:
		return put_number("persistent_keepalive_interval", attr, 2, text);
	case WGPEER_A_LAST_HANDSHAKE_TIME:
		return put_handshake(attr, text);
	case WGPEER_A_RX_BYTES:
		return put_number("rx_bytes", attr, 8, text);
	case WGPEER_A_TX_BYTES:
		return put_number("tx_bytes", attr, 8, text);
	case WGPEER_A_ALLOWEDIPS:
		return put_list(attr, put_allowed, text);
	default:
		return true;
	}
}

static bool put_peer(const struct nlattr *attr, struct kernel_answer *a, struct buf *text)
{
	const struct nlattr *of;
	const void *key = NULL;

	mnl_attr_for_each_nested(of, attr)
		if (mnl_attr_get_type(of) == WGPEER_A_PUBLIC_KEY)
			key = bytes_of(of, KEY_LEN);
	if (!key)
		return false;
	if (!a->in_peer || memcmp(a->public_key, key, KEY_LEN) != 0) {
		buf_puts(text, "public_key=");
		buf_put_hex(text, key, KEY_LEN);
		buf_puts(text, "\n");
	}
	memcpy(a->public_key, key, KEY_LEN);
	a->in_peer = true;
	mnl_attr_for_each_nested(of, attr)
		if (!put_of_peer(of, text))
			return false;
	return true;
}

static bool put_of_device(const struct nlattr *attr, struct buf *text)
{
	switch (mnl_attr_get_type(attr)) {
	case WGDEVICE_A_PRIVATE_KEY:
		return put_key("private_key", attr, text);
	case WGDEVICE_A_LISTEN_PORT:
		return put_number("listen_port", attr, 2, text);
	case WGDEVICE_A_FWMARK:
		return put_number("fwmark", attr, 4, text);
	default:
		return true;
	}
}

int kernel_answer_read(const struct nlmsghdr *nlh, struct kernel_answer *a, struct buf *text)
{
	const struct nlattr *attr, *peer;

	/* Its last attribute is padded, too: libmnl looks to the end of that. */
	if (nlh->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(struct genlmsghdr) || nlh->nlmsg_len % MNL_ALIGNTO)
		return -EBADMSG;
	/* Before any peer: what stands behind one is its. */
	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr))
		if (!a->in_list && !put_of_device(attr, text))
			return -EBADMSG;
	a->in_list = true;
	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr))
	{
		if (mnl_attr_get_type(attr) != WGDEVICE_A_PEERS)
			continue;
		mnl_attr_for_each_nested(peer, attr)
			if (!put_peer(peer, a, text))
				return -EBADMSG;
	}
	return text->error;
}

/* ---- to the kernel ---- */

struct asked_peer {
	uint8_t			 public_key[KEY_LEN], psk[KEY_LEN];
	bool			 has_psk, has_endpoint, has_keepalive;
	uint32_t		 flags;
	struct sockaddr_storage	 endpoint;
	uint16_t		 keepalive;
	struct prefix		*allowed;
	size_t			 n_allowed, room;
};

struct writer {
	const struct kernel_device	*d;
	_Alignas(struct nlmsghdr) char	 message[KERNEL_MESSAGE_MAX];
	struct nlmsghdr			*nlh;
	struct nlattr			*peers;	/* NULL: no peer stands in the message yet */
	struct asked_peer		 peer;
	bool				 in_peer;
	struct prefix			*named;	/* all allowed IPs of the request, sorted */
	size_t				 n_named, room_named;
};

static void asked_peer_done(struct asked_peer *p)
{
	free(p->allowed);
	explicit_bzero(p, sizeof(*p));
}

static void writer_done(struct writer *w)
{
	asked_peer_done(&w->peer);
	free(w->named);
	explicit_bzero(w, sizeof(*w));
}

static void begin(struct writer *w)
{
	struct genlmsghdr *g;

	w->peers = NULL;
	w->nlh = mnl_nlmsg_put_header(w->message);
	w->nlh->nlmsg_type = w->d->family;
	w->nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	g = mnl_nlmsg_put_extra_header(w->nlh, sizeof(*g));
	g->cmd = WG_CMD_SET_DEVICE;
	g->version = WG_GENL_VERSION;
	mnl_attr_put_u32(w->nlh, WGDEVICE_A_IFINDEX, w->d->ifindex);
}

static int flush(struct writer *w)
{
	int r;

	if (w->peers)
		mnl_attr_nest_end(w->nlh, w->peers);
	r = w->d->send(w->d->arg, w->nlh);
	explicit_bzero(w->message, sizeof(w->message));
	begin(w);
	return r;
}

static bool has_room(const struct writer *w, size_t room)
{
	return w->nlh->nlmsg_len + room <= sizeof(w->message);
}

static struct nlattr *open_peer(struct writer *w, const uint8_t key[KEY_LEN], uint32_t flags)
{
	struct nlattr *peer;

	if (!w->peers)
		w->peers = mnl_attr_nest_start(w->nlh, WGDEVICE_A_PEERS);
	peer = mnl_attr_nest_start(w->nlh, 0);
	mnl_attr_put(w->nlh, WGPEER_A_PUBLIC_KEY, KEY_LEN, key);
	if (flags)
		mnl_attr_put_u32(w->nlh, WGPEER_A_FLAGS, flags);
	return peer;
}

static void put_prefix(struct nlmsghdr *nlh, const struct prefix *p)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, 0);

	mnl_attr_put_u16(nlh, WGALLOWEDIP_A_FAMILY, p->family);
	mnl_attr_put(nlh, WGALLOWEDIP_A_IPADDR, p->family == AF_INET ? 4 : 16, p->bytes);
	mnl_attr_put_u8(nlh, WGALLOWEDIP_A_CIDR_MASK, p->bits);
	mnl_attr_nest_end(nlh, nest);
}

/* A peer of which more follows is there by then, unless somebody took it away. */
static int put_prefixes(struct writer *w, const uint8_t key[KEY_LEN], struct nlattr *peer, const struct prefix p[], size_t n)
{
	struct nlattr *list = n ? mnl_attr_nest_start(w->nlh, WGPEER_A_ALLOWEDIPS) : NULL;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		if (!has_room(w, ALLOWED_ROOM)) {
			mnl_attr_nest_end(w->nlh, list);
			mnl_attr_nest_end(w->nlh, peer);
			r = flush(w);
			peer = open_peer(w, key, WGPEER_F_UPDATE_ONLY);
			list = mnl_attr_nest_start(w->nlh, WGPEER_A_ALLOWEDIPS);
		}
		put_prefix(w->nlh, &p[i]);
	}
	if (list)
		mnl_attr_nest_end(w->nlh, list);
	mnl_attr_nest_end(w->nlh, peer);
	return r;
}

static int compare_prefixes(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

/*
 * To replace all of a peer's is to take them away first, and packets meanwhile go nowhere.  So those that
 * no peer is to have are given to nobody, who is then removed; and what goes from one peer to another
 * does so when that one gets it.
 */
static int put_leaving(struct writer *w, const struct running_peer *have)
{
	cleanup(free_ptr) struct prefix *leaving = calloc(have->n_allowed + 1, sizeof(*leaving));
	const uint8_t *nobody = w->d->nobody;
	size_t n = 0;
	int r = 0;

	if (!leaving)
		return -ENOMEM;
	for (size_t i = 0; i < have->n_allowed; i++)
		if (!w->n_named || !bsearch(&have->allowed[i], w->named, w->n_named, sizeof(*w->named), compare_prefixes))
			leaving[n++] = have->allowed[i];
	if (!n)
		return 0;
	if (!has_room(w, PEER_ROOM))
		r = flush(w);
	if (r == 0)
		r = put_prefixes(w, nobody, open_peer(w, nobody, 0), leaving, n);
	if (r == 0 && !has_room(w, PEER_ROOM))
		r = flush(w);
	if (r == 0)
		mnl_attr_nest_end(w->nlh, open_peer(w, nobody, WGPEER_F_REMOVE_ME));
	return r;
}

static int put_asked(struct writer *w)
{
	struct asked_peer *p = &w->peer;
	const struct running_peer *have = running_peer(w->d->before, p->public_key);
	struct nlattr *peer;
	int r = 0;

	if (p->flags & WGPEER_F_REPLACE_ALLOWEDIPS && have) {
		p->flags &= ~(uint32_t)WGPEER_F_REPLACE_ALLOWEDIPS;
		r = put_leaving(w, have);
	}
	if (r == 0 && !has_room(w, PEER_ROOM))
		r = flush(w);
	if (r < 0)
		return r;
	peer = open_peer(w, p->public_key, p->flags);
	if (p->has_psk)
		mnl_attr_put(w->nlh, WGPEER_A_PRESHARED_KEY, KEY_LEN, p->psk);
	if (p->has_endpoint)
		mnl_attr_put(w->nlh, WGPEER_A_ENDPOINT,
			p->endpoint.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6), &p->endpoint);
	if (p->has_keepalive)
		mnl_attr_put_u16(w->nlh, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, p->keepalive);
	return put_prefixes(w, p->public_key, peer, p->allowed, p->n_allowed);
}

static int end_peer(struct writer *w)
{
	int r = w->in_peer ? put_asked(w) : 0;

	asked_peer_done(&w->peer);
	w->in_peer = false;
	return r;
}

struct line {
	char		 name[40];
	const char	*value;
	size_t		 len;
};

static int take_number(const struct line *l, uint64_t most, uint64_t *ret)
{
	return text_number(l->value, l->len, most, ret) < 0 ? -EINVAL : 0;
}

static int take_endpoint(const struct line *l, struct asked_peer *p)
{
	cleanup(buf_done) struct buf why = buf_of_max(256);
	struct sockaddr_storage addresses[RESOLVE_MAX];
	struct endpoint e;
	size_t n = 0;

	if (text_endpoint(l->value, l->len, &e, &why) < 0 || e.is_name || resolve(&e, addresses, &n))
		return -EINVAL;
	p->endpoint = addresses[0];
	p->has_endpoint = true;
	return 0;
}

static int take_allowed(const struct line *l, struct asked_peer *p)
{
	if (!array_grow(&p->allowed, &p->room, p->n_allowed, sizeof(*p->allowed)))
		return -ENOMEM;
	if (text_prefix(l->value, l->len, &p->allowed[p->n_allowed]) < 0)
		return -EINVAL;
	prefix_mask(&p->allowed[p->n_allowed++]);
	return 0;
}

static bool is_true(const struct line *l)
{
	return l->len == 4 && !memcmp(l->value, "true", 4);
}

static int take_of_peer(struct asked_peer *p, const struct line *l)
{
	static const struct {
		const char	*name;
		uint32_t	 flag;
	} flags[] = {{"remove", WGPEER_F_REMOVE_ME}, {"update_only", WGPEER_F_UPDATE_ONLY},
		{"replace_allowed_ips", WGPEER_F_REPLACE_ALLOWEDIPS}};
	uint64_t number = 0;
	int r;

	for (size_t i = 0; i < array_size(flags); i++) {
		if (strcmp(l->name, flags[i].name) != 0)
			continue;
		p->flags |= flags[i].flag;
		return is_true(l) ? 0 : -EINVAL;
	}
	if (!strcmp(l->name, "preshared_key")) {
		p->has_psk = true;
		return text_hex_key(l->value, l->len, p->psk);
	}
	if (!strcmp(l->name, "endpoint"))
		return take_endpoint(l, p);
	if (!strcmp(l->name, "allowed_ip"))
		return take_allowed(l, p);
	if (strcmp(l->name, "persistent_keepalive_interval") != 0)
		return -EINVAL;
	r = take_number(l, UINT16_MAX, &number);
	p->has_keepalive = true;
	p->keepalive = (uint16_t)number;
	return r;
}

static int take_of_device(struct writer *w, const struct line *l)
{
	uint8_t key[KEY_LEN];
	uint64_t number = 0;
	int r = -EINVAL;

	if (!strcmp(l->name, "private_key")) {
		r = text_hex_key(l->value, l->len, key);
		if (r == 0)
			mnl_attr_put(w->nlh, WGDEVICE_A_PRIVATE_KEY, KEY_LEN, key);
		explicit_bzero(key, sizeof(key));
	} else if (!strcmp(l->name, "listen_port")) {
		r = take_number(l, UINT16_MAX, &number);
		mnl_attr_put_u16(w->nlh, WGDEVICE_A_LISTEN_PORT, (uint16_t)number);
	} else if (!strcmp(l->name, "fwmark")) {
		r = take_number(l, UINT32_MAX, &number);
		mnl_attr_put_u32(w->nlh, WGDEVICE_A_FWMARK, (uint32_t)number);
	} else if (!strcmp(l->name, "replace_peers") && is_true(l)) {
		mnl_attr_put_u32(w->nlh, WGDEVICE_A_FLAGS, WGDEVICE_F_REPLACE_PEERS);
		r = 0;
	}
	/* Each once, or there may be no room. */
	return r == 0 && !has_room(w, PEER_ROOM) ? -EINVAL : r;
}

/* The next one of ${*text}.  0: there is none; 1; -EINVAL. */
static int next_line(const char **text, size_t *left, struct line *ret)
{
	const char *end = *left && **text != '\n' ? memchr(*text, '\n', *left) : NULL;
	const char *equals = end ? memchr(*text, '=', (size_t)(end - *text)) : NULL;

	if (!*left || **text == '\n')
		return 0;
	if (!equals || (size_t)(equals - *text) >= sizeof(ret->name))
		return -EINVAL;
	memset(ret->name, 0, sizeof(ret->name));
	memcpy(ret->name, *text, (size_t)(equals - *text));
	ret->value = equals + 1;
	ret->len = (size_t)(end - ret->value);
	*left -= (size_t)(end + 1 - *text);
	*text = end + 1;
	return 1;
}

static int take_named(struct writer *w, const char *text, size_t left)
{
	struct line l;
	int r;

	while ((r = next_line(&text, &left, &l)) > 0) {
		if (strcmp(l.name, "allowed_ip") != 0)
			continue;
		if (!array_grow(&w->named, &w->room_named, w->n_named, sizeof(*w->named)))
			return -ENOMEM;
		if (text_prefix(l.value, l.len, &w->named[w->n_named]) < 0)
			return -EINVAL;
		prefix_mask(&w->named[w->n_named++]);
	}
	if (w->n_named)
		qsort(w->named, w->n_named, sizeof(*w->named), compare_prefixes);
	return r;
}

static int take_line(struct writer *w, const struct line *l)
{
	int r;

	if (!strcmp(l->name, "public_key")) {
		r = end_peer(w);
		w->in_peer = true;
		return r < 0 ? r : text_hex_key(l->value, l->len, w->peer.public_key);
	}
	return w->in_peer ? take_of_peer(&w->peer, l) : take_of_device(w, l);
}

int kernel_request_send(const struct kernel_device *d, const char *text, size_t len)
{
	static const char first[] = "set=1\n";
	cleanup(writer_done) struct writer w = {.d = d};
	struct line l;
	int r, more;

	if (len < sizeof(first) - 1 || memcmp(text, first, sizeof(first) - 1) != 0)
		return -EINVAL;
	text += sizeof(first) - 1;
	len -= sizeof(first) - 1;
	r = take_named(&w, text, len);
	begin(&w);
	while (r == 0 && (more = next_line(&text, &len, &l)) != 0)
		r = more < 0 ? more : take_line(&w, &l);
	if (r == 0)
		r = end_peer(&w);
	return r < 0 ? r : flush(&w);
}
