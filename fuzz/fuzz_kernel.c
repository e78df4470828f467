/*
 * The kernel's WireGuard: bytes as a message of its, and as a request for it.  What is read is an answer, what is sent is a
 * message that the kernel's own reader of lengths would take.
 */
#include "fuzz/fuzz.h"

#include "conf/kernel_messages.h"

#include <errno.h>

static int see(void *arg, struct nlmsghdr *nlh)
{
	cleanup(buf_done) struct buf text = buf_of_max(1 << 20);
	struct kernel_answer a = {.in_peer = false};

	MUST(nlh->nlmsg_len <= KERNEL_MESSAGE_MAX);
	/* What is asked for is what would be answered, in its words. */
	MUST(kernel_answer_read(nlh, &a, &text) == 0);
	++*(unsigned *)arg;
	return 0;
}

static void check_answer(const uint8_t *data, size_t len)
{
	cleanup(buf_done) struct buf text = buf_of_max(1 << 20);
	cleanup(running_freep) struct running *running = NULL;
	cleanup(free_ptr) uint8_t *message = malloc(len);
	struct kernel_answer a = {.in_peer = false};
	int r;

	MUST(message);
	memcpy(message, data, len);
	((struct nlmsghdr *)(void *)message)->nlmsg_len = (uint32_t)len;
	r = kernel_answer_read((void *)message, &a, &text);
	MUST(r == 0 || r == -EBADMSG);
	buf_puts(&text, "errno=0\n\n");
	MUST(r < 0 || running_read(buf_str(&text), text.len, &running) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char now[] = "public_key=4045a977745ccfa40cda43ca0529b2880c28d727c37f52d0a60af80a9317fc7b\n"
				  "allowed_ip=10.0.0.0/24\nallowed_ip=fd00::/64\nerrno=0\n\n";
	cleanup(running_freep) struct running *before = NULL;
	cleanup(free_ptr) char *bytes = fuzz_copy(data, len);
	unsigned n = 0;
	struct kernel_device d = {.family = 31, .ifindex = 7, .send = see, .arg = &n};
	int r;

	if (len > 65536)
		return 0;
	if (len >= sizeof(struct nlmsghdr))
		check_answer(data, len);
	MUST(running_read(now, sizeof(now) - 1, &before) == 0);
	d.before = before;
	r = kernel_request_send(&d, bytes, len);
	MUST(r == -EINVAL || (r == 0 && n));
	return 0;
}
