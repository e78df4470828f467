#include "udp_inbox.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

uint8_t bytes[65536 * 2];
struct inbox in;

struct wg_addr addr(const char *text, uint16_t port)
{
	uint8_t a[16];

	if (inet_pton(AF_INET, text, a) == 1)
		return wg_addr_v4(a, port);
	CHECK_EQ(inet_pton(AF_INET6, text, a), 1);
	return wg_addr_v6(a, port, 0);
}

struct wg_endpoint to(const char *text, uint16_t port)
{
	return (struct wg_endpoint){.dst = addr(text, port)};
}

struct udp *open_or_fail(uint16_t port, unsigned workers)
{
	struct udp_config c = {.port = port, .workers = workers};
	struct udp *u = NULL;

	CHECK_EQ(udp_open(&c, &u), 0);
	CHECK(u->port != 0);
	return u;
}

struct udp_message message(const struct wg_endpoint *e, uint32_t len, uint32_t segment)
{
	return (struct udp_message){.to = e, .data = bytes, .len = len, .segment = segment};
}

void take(struct inbox *to_fill, int fd, unsigned want)
{
	struct udp_rx *rx;
	uint32_t at = 0;

	memset(to_fill, 0, sizeof(*to_fill));
	to_fill->same = true;
	CHECK_EQ(udp_rx_new(&rx), 0);
	while (to_fill->n < want) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		struct udp_run *runs;
		int n;

		if (poll(&p, 1, 60000) == 0)
			break;
		n = udp_receive(rx, fd, &runs);
		CHECK(n >= 0);
		for (int i = 0; i < n; i++) {
			to_fill->runs++;
			to_fill->truncated |= runs[i].truncated;
			CHECK(runs[i].segment > 0 || runs[i].len == 0);
			for (uint32_t o = 0; o < runs[i].len || o == 0; o += runs[i].segment) {
				uint32_t len = min(runs[i].segment, runs[i].len - o);

				CHECK(to_fill->n < 256);
				to_fill->from[to_fill->n] = runs[i].from;
				to_fill->tos[to_fill->n] = runs[i].tos;
				to_fill->len[to_fill->n] = len;
				memcpy(to_fill->data[to_fill->n], runs[i].data + o, min(len, 64u));
				if (at + len > sizeof(bytes) || memcmp(runs[i].data + o, bytes + at, len))
					to_fill->same = false;
				at += len;
				to_fill->n++;
				if (len == 0)
					break;
			}
		}
	}
	udp_rx_free(rx);
	CHECK_EQ(to_fill->n, want);
}

void check_quiet(int fd)
{
	struct udp_rx *rx;
	struct udp_run *runs;

	CHECK_EQ(udp_rx_new(&rx), 0);
	CHECK_EQ(udp_receive(rx, fd, &runs), 0);
	udp_rx_free(rx);
}

void in_child(void (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 0);
}

void forbid(unsigned call, unsigned value, int why)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)why),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {array_size(code), code};

	DEMAND(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	DEMAND(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0);
}

static bool enter_namespace(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING};
	int fd, r;

	if (unshare(CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	r = ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	return r == 0;
}

bool begin(void)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(test_random(&seed) >> 32);
	return enter_namespace();
}
