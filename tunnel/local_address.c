#include "tunnel/local_address.h"

#include "base/util.h"

#include <netinet/in.h>
#include <sys/socket.h>

void local_address(const struct wg_addr *to, uint32_t fwmark, uint8_t ret[16])
{
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(to->port)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6,
		.sin6_port = htons(to->port),
		.sin6_scope_id = to->scope_id};
	bool ipv4 = to->family == AF_INET;
	struct sockaddr *a = ipv4 ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6;
	socklen_t len = ipv4 ? sizeof(a4) : sizeof(a6);
	cleanup(close_fd) int fd = socket(to->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memset(ret, 0, 16);
	memcpy(&a4.sin_addr, to->bytes, 4);
	memcpy(&a6.sin6_addr, to->bytes, 16);
	if (fd < 0 || (fwmark && setsockopt(fd, SOL_SOCKET, SO_MARK, &fwmark, sizeof(fwmark)) < 0) ||
		connect(fd, a, len) < 0 || getsockname(fd, a, &len) < 0)
		return;
	if (ipv4)
		memcpy(ret, &a4.sin_addr, 4);
	else
		memcpy(ret, &a6.sin6_addr, 16);
}
