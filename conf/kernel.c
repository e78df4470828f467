#include "conf/kernel.h"

#include "conf/kernel_messages.h"
#include "conf/net.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <sys/random.h>
#include <sys/time.h>

#define PIECE ((size_t)32768)	/* of an answer; the kernel fills less */
#define ANSWER_MAX ((size_t)256 << 20)
#define MESSAGE_MAX 256
#define TRIES 10
#define PATIENCE_S 60

struct kernel {
	struct mnl_socket	*socket;
	uint32_t		 seq;
	uint16_t		 family;
	uint32_t		 ifindex;
};

static void kernel_done(struct kernel *k)
{
	if (k->socket)
		mnl_socket_close(k->socket);
}

/* Send it and take the answers until they end.  What they held is wiped. */
static int exchange(struct kernel *k, struct nlmsghdr *nlh, mnl_cb_t each, void *arg)
{
	char buf[PIECE];
	int r;

	nlh->nlmsg_seq = ++k->seq;
	if (mnl_socket_sendto(k->socket, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		ssize_t len = mnl_socket_recvfrom(k->socket, buf, sizeof(buf));

		r = len < 0 ? -1 : mnl_cb_run(buf, (size_t)len, k->seq, mnl_socket_get_portid(k->socket), each, arg);
	} while (r > MNL_CB_STOP);
	r = r < 0 ? -errno : 0;
	explicit_bzero(buf, sizeof(buf));
	return r;
}

static struct nlmsghdr *begin(char message[MESSAGE_MAX], uint16_t type, uint16_t flags, uint8_t command)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(message);
	struct genlmsghdr *g;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	g = mnl_nlmsg_put_extra_header(nlh, sizeof(*g));
	g->cmd = command;
	g->version = 1;
	return nlh;
}

static int see_family(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr))
		if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID && mnl_attr_get_payload_len(attr) == 2)
			*(uint16_t *)arg = mnl_attr_get_u16(attr);
	return MNL_CB_OK;
}

static int find_family(struct kernel *k)
{
	char message[MESSAGE_MAX];
	struct nlmsghdr *nlh = begin(message, GENL_ID_CTRL, NLM_F_ACK, CTRL_CMD_GETFAMILY);
	int r;

	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, WG_GENL_NAME);
	r = exchange(k, nlh, see_family, &k->family);
	return r == 0 && !k->family ? -ENOENT : r;
}

/* The interface is looked at first: to ask for the family would load a module that nobody uses. */
static int reach(const char *name, struct kernel *ret)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	cleanup(net_closep) struct net *n = NULL;
	int r = net_open(name, &n);

	if (r == 0)
		r = net_check_kind(n, NET_KIND_WIREGUARD);
	if (r < 0)
		return r;
	ret->ifindex = net_index(n);
	ret->socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!ret->socket || mnl_socket_bind(ret->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
		setsockopt(mnl_socket_get_fd(ret->socket), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	return find_family(ret);
}

/* ---- get ---- */

struct reading {
	struct kernel_answer	 at;
	struct buf		*text;
	int			 error;
};

static int see_device(const struct nlmsghdr *nlh, void *arg)
{
	struct reading *r = arg;

	if (!r->error)
		r->error = kernel_answer_read(nlh, &r->at, r->text);
	return MNL_CB_OK;
}

/* From the start again where something changed meanwhile. */
static int get(struct kernel *k, struct buf *answer)
{
	int r = -EINTR;

	for (unsigned i = 0; i < TRIES && r == -EINTR; i++) {
		char message[MESSAGE_MAX];
		struct nlmsghdr *nlh = begin(message, k->family, NLM_F_DUMP, WG_CMD_GET_DEVICE);
		struct reading reading = {.text = answer};

		buf_clear(answer);
		mnl_attr_put_u32(nlh, WGDEVICE_A_IFINDEX, k->ifindex);
		r = exchange(k, nlh, see_device, &reading);
		r = r ? r : reading.error;
	}
	buf_puts(answer, "errno=0\n\n");
	return r < 0 ? r : answer->error;
}

/* ---- set ---- */

static int send_one(void *arg, struct nlmsghdr *nlh)
{
	return exchange(arg, nlh, NULL, NULL);
}

static int set(struct kernel *k, const char *request, size_t len, struct buf *answer)
{
	cleanup(buf_done) struct buf text = buf_of_max(ANSWER_MAX);
	cleanup(running_freep) struct running *before = NULL;
	struct kernel_device d = {.family = k->family, .ifindex = k->ifindex, .send = send_one, .arg = k};
	int r = get(k, &text);

	if (r == 0)
		r = running_read(buf_str(&text), text.len, &before);
	if (r == 0 && getrandom(d.nobody, sizeof(d.nobody), 0) != (ssize_t)sizeof(d.nobody))
		r = -EIO;
	d.before = before;
	if (r == 0)
		r = kernel_request_send(&d, request, len);
	return r < 0 ? r : buf_puts(answer, "errno=0\n\n");
}

int kernel_ask(const char *name, const uint8_t *request, size_t len, struct buf *answer)
{
	cleanup(kernel_done) struct kernel k = {.seq = 0};
	int r = reach(name, &k);

	if (r < 0)
		return r;
	return len && *request == 'g' ? get(&k, answer) : set(&k, (const char *)request, len, answer);
}
