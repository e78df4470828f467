/* What office/mtu.h finds: mtu ADDRESS LEAST MOST [TIMEOUT_MS].  Prints the size, or the error's name. */
#include "office/mtu.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	struct sockaddr_storage to = {.ss_family = AF_INET};
	unsigned size = 0;
	int r;

	if (argc < 4)
		return 2;
	if (inet_pton(AF_INET, argv[1], &((struct sockaddr_in *)(void *)&to)->sin_addr) != 1) {
		to.ss_family = AF_INET6;
		if (inet_pton(AF_INET6, argv[1], &((struct sockaddr_in6 *)(void *)&to)->sin6_addr) != 1)
			return 2;
	}
	r = mtu_echo(&to, (unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]), argc > 4 ? atoi(argv[4]) : 60000, &size);
	if (r < 0)
		puts(strerrorname_np(-r));
	else
		printf("%u\n", size);
	return r < 0;
}
