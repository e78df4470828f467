#include "tunnel/addr_text.h"

#include <arpa/inet.h>

void addr_put(const struct wg_addr *a, struct buf *ret)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(a->family, a->bytes, text, sizeof(text));
	if (a->family == AF_INET)
		buf_printf(ret, "%s:%u", text, a->port);
	else if (a->scope_id)
		buf_printf(ret, "[%s%%%u]:%u", text, a->scope_id, a->port);
	else
		buf_printf(ret, "[%s]:%u", text, a->port);
}
