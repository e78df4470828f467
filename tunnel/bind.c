#include "tunnel/bind.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

static int refuse(struct buf *why, const char *words)
{
	buf_puts(why, words);
	return -EINVAL;
}

static int parse_v4(const char *text, struct bind_address *ret, struct buf *why)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1)
		return refuse(why, "must be an IPv4 or IPv6 address");
	if (IN_MULTICAST(ntohl(a.s_addr)) || a.s_addr == INADDR_BROADCAST)
		return refuse(why, "must be the address of one host");
	ret->family = AF_INET;
	memcpy(ret->bytes, &a, sizeof(a));
	return 0;
}

static int parse_v6(const char *text, struct bind_address *ret, struct buf *why)
{
	char address[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "%");
	const char *scope = text[len] ? text + len + 1 : "";
	struct in6_addr a;

	if (len >= sizeof(address))
		return refuse(why, "must be an IPv4 or IPv6 address");
	memcpy(address, text, len);
	address[len] = '\0';
	if (inet_pton(AF_INET6, address, &a) != 1)
		return refuse(why, "must be an IPv4 or IPv6 address");
	if (IN6_IS_ADDR_MULTICAST(&a))
		return refuse(why, "must be the address of one host");
	if (IN6_IS_ADDR_V4MAPPED(&a))
		return refuse(why, "is an IPv4 address: write it as one");
	if (IN6_IS_ADDR_LINKLOCAL(&a) && !*scope)
		return refuse(why, "is link-local and needs its interface: fe80::1%eth0");
	if (text[len] && !IN6_IS_ADDR_LINKLOCAL(&a))
		return refuse(why, "is not link-local: leave out what follows the %");
	if (strlen(scope) >= sizeof(ret->scope))
		return refuse(why, "has too long a name for an interface behind the %");
	ret->family = AF_INET6;
	memcpy(ret->bytes, &a, sizeof(a));
	memcpy(ret->scope, scope, strlen(scope));
	return 0;
}

int bind_address_parse(const char *text, struct bind_address *ret, struct buf *why)
{
	struct bind_address a = {0};
	int r = strchr(text, ':') ? parse_v6(text, &a, why) : parse_v4(text, &a, why);

	if (r == 0)
		*ret = a;
	return r;
}

void bind_address_format(const struct bind_address *a, struct buf *ret)
{
	char text[INET6_ADDRSTRLEN];

	if (a->family && inet_ntop(a->family, a->bytes, text, sizeof(text)))
		buf_printf(ret, "%s%s%s", text, a->scope[0] ? "%" : "", a->scope);
}
