#include "conf/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

const char *resolve_error(int error)
{
	return gai_strerror(error);
}

bool resolve_unreachable(int error)
{
	return error == EAI_AGAIN;
}

void resolve_order(struct sockaddr_storage a[], size_t n)
{
	for (size_t i = 1; i < n; i++) {
		size_t j = i;
		struct sockaddr_storage next;

		while (j < n && a[j].ss_family == a[i - 1].ss_family)
			j++;
		if (j == n)
			return;
		next = a[j];
		memmove(&a[i + 1], &a[i], (j - i) * sizeof(*a));
		a[i] = next;
	}
}

int resolve(const struct endpoint *e, struct sockaddr_storage ret[RESOLVE_MAX], size_t *ret_n)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_DGRAM,
		.ai_flags = AI_NUMERICSERV | (e->is_name ? 0 : AI_NUMERICHOST)};
	struct addrinfo *list = NULL;
	char port[8];
	size_t n = 0;
	int r;

	snprintf(port, sizeof(port), "%u", e->port);
	r = getaddrinfo(e->host, port, &hints, &list);
	if (r)
		return r;
	for (const struct addrinfo *a = list; a && n < RESOLVE_MAX; a = a->ai_next) {
		if (a->ai_family != AF_INET && a->ai_family != AF_INET6)
			continue;
		memset(&ret[n], 0, sizeof(ret[n]));
		memcpy(&ret[n++], a->ai_addr, min((size_t)a->ai_addrlen, sizeof(*ret)));
	}
	freeaddrinfo(list);
	if (!n)
		return EAI_NONAME;
	resolve_order(ret, n);
	*ret_n = n;
	return 0;
}
