/*
 * stop - end or hold a program at a chosen message of the control channel, for tests.
 *
 * Loaded by LD_PRELOAD.  STOP_AT holds WHEN TYPE SIGNAL N: "send 9005 9 2" raises SIGKILL in the place of sending the second frame
 * of type 0x9005, "sent" when it has gone, "got" when it was received.  Once.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static char when[8];
static unsigned type;
static int number, left;

__attribute__((constructor)) static void start(void)
{
	const char *text = getenv("STOP_AT");

	if (!text || sscanf(text, "%7s %x %d %d", when, &type, &number, &left) != 4)
		number = 0;
}

static void look(const char *now, const struct msghdr *msg)
{
	const uint8_t *p = msg->msg_iovlen ? msg->msg_iov[0].iov_base : NULL;
	int signal_number = number;

	if (!signal_number || strcmp(now, when) != 0 || !p || msg->msg_iov[0].iov_len < 4 || p[0] != 1 || p[1] != 0 ||
		(unsigned)(p[2] << 8 | p[3]) != type)
		return;
	if (--left)
		return;
	number = 0;
	raise(signal_number);
}

__attribute__((visibility("default"))) ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	ssize_t (*next)(int, const struct msghdr *, int) = (__typeof__(next))dlsym(RTLD_NEXT, "sendmsg");
	ssize_t n;

	look("send", msg);
	n = next(fd, msg, flags);
	if (n > 0)
		look("sent", msg);
	return n;
}

__attribute__((visibility("default"))) ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t (*next)(int, struct msghdr *, int) = (__typeof__(next))dlsym(RTLD_NEXT, "recvmsg");
	ssize_t n = next(fd, msg, flags);

	if (n > 3)
		look("got", msg);
	return n;
}
