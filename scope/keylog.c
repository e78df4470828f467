/* ginnel keylog: the keys of a tunnel's handshakes, for a Wireshark that captures by itself. */
#include "base/protect.h"
#include "conf/client.h"
#include "scope/follow.h"
#include "scope/kernel_keys.h"
#include "scope/record_keys.h"
#include "scope/stop.h"
#include "scope/target.h"
#include "scope/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>

#define WAIT_MS 1000
#define RING_SIZE ((size_t)1 << 20) /* some 4,000 handshakes may begin at once */

struct sink {
	struct key_log	 log;
	const char	*path;
	bool		 borrowed;	/* standard output */
	uint64_t	 blocks;
};

static void sink_close(struct sink *s)
{
	if (!s->borrowed)
		key_log_close(&s->log);
}

static int open_standard_output(struct sink *s, struct buf *why)
{
	struct stat st;

	if (isatty(STDOUT_FILENO)) {
		buf_puts(why, "keys are not for a terminal: give a file, or a pipe");
		return -EINVAL;
	}
	/* What the shell made for us others may read; but it may not be ours to change. */
	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077) &&
		(fchmod(STDOUT_FILENO, 0600) < 0 || fstat(STDOUT_FILENO, &st) < 0 || (st.st_mode & 077))) {
		buf_puts(why, "no keys are written to standard output: it may be opened by others, who could read the keys");
		return -EPERM;
	}
	s->log.fd = STDOUT_FILENO;
	s->borrowed = true;
	s->path = "standard output";
	return 0;
}

static int sink_open(struct sink *s, struct buf *why)
{
	int r = strcmp(s->path, "-") ? key_log_open(s->path, false, &s->log, why)
				     : open_standard_output(s, why);

	if (r >= 0)
		fprintf(stderr, "ginnel keylog: who reads %s can read what goes through the tunnel, and speak as "
			"this end\n", s->path);
	return r;
}

static int look_for_reader(const struct sink *s, struct buf *why)
{
	if (!stop_reader_gone(s->log.fd))
		return 0;
	buf_printf(why, "cannot write keys to %s: nobody reads it any more", s->path);
	return -EPIPE;
}

static int sink_put(struct sink *s, const struct key_log_keys *k, struct buf *why)
{
	int r;

	while ((r = key_log_write(&s->log, k)) == -EAGAIN && !stop_asked())
		poll(&(struct pollfd){.fd = s->log.fd, .events = POLLOUT}, 1, stop_timeout_ms(WAIT_MS));
	if (r < 0) {
		buf_printf(why, "cannot write keys to %s: %s", s->path, strerror(-r));
		return r;
	}
	s->blocks++;
	return 0;
}

/* ---- of a running ginnel-wg ---- */

/* Before the other end begins a handshake Wireshark has to know who this end is. */
static int put_identity(const char *tunnel, struct sink *s, struct buf *why)
{
	static const uint8_t none[KEY_LEN];
	cleanup(running_freep) struct running *now = NULL;

	if (client_get(tunnel, &now) < 0 || !memcmp(now->private_key, none, sizeof(none)))
		return 0;
	return sink_put(s, &(struct key_log_keys){.local_static = now->private_key}, why);
}

static int go_on(struct follow *f, struct sink *s, struct buf *why)
{
	uint64_t lost = 0;

	while (!stop_asked()) {
		const struct capture_record *r;
		const uint8_t *data;
		struct key_log_keys keys;
		int got = follow_next(f, stop_timeout_ms(WAIT_MS), &r, &data, why);

		if (got > 0 && record_keys(r, data, &keys))
			got = sink_put(s, &keys, why);
		else if (!got)
			got = look_for_reader(s, why);
		if (got < 0)
			return got;
		if (follow_lost(f) > lost) {
			lost = follow_lost(f);
			fprintf(stderr, "ginnel keylog: keys of handshakes were lost: %s is too slow\n", s->path);
		}
	}
	return 0;
}

static int follow_tunnel(const struct cmd_call *call, struct sink *s, struct buf *why)
{
	cleanup(target_done) struct target target = {.names = NULL};
	cleanup(follow_freep) struct follow *f = NULL;
	struct follow_config config = {
		.want = CAPTURE_KEYS | CAPTURE_PRIME, .snap = CAPTURE_SNAP_MAX, .ring = RING_SIZE};
	int r = target_find(call->n_operands > 1 ? call->operands[1] : NULL, "", &target, why);

	if (r < 0)
		return r;
	config.name = target.tunnel;
	r = follow_new(&config, &f, why);
	if (r >= 0)
		r = sink_open(s, why);
	if (r >= 0)
		r = put_identity(target.tunnel, s, why);
	return r < 0 ? r : go_on(f, s, why);
}

/* ---- of the kernel ---- */

static int go_on_kernel(struct kernel_keys *k, struct sink *s, struct buf *why)
{
	uint64_t lost = 0;

	while (!stop_asked()) {
		struct key_log_keys keys;
		int r = kernel_keys_next(k, stop_timeout_ms(WAIT_MS), &keys, why);

		if (r > 0)
			r = sink_put(s, &keys, why);
		else if (!r)
			r = look_for_reader(s, why);
		if (r < 0)
			return r;
		if (kernel_keys_lost(k) > lost) {
			lost = kernel_keys_lost(k);
			fprintf(stderr, "ginnel keylog: keys of handshakes were lost\n");
		}
	}
	return 0;
}

static int follow_kernel(const struct cmd_call *call, struct sink *s, struct buf *why)
{
	cleanup(kernel_keys_freep) struct kernel_keys *k = NULL;
	int r;

	if (call->n_operands > 1) {
		buf_puts(why, "--kernel is about all of the kernel's tunnels: leave out the interface");
		return -EINVAL;
	}
	r = kernel_keys_new(&k, why);
	if (r < 0)
		return r;
	if (kernel_keys_guessed(k))
		fprintf(stderr, "ginnel keylog: the kernel does not say where its keys are (no "
			"/sys/kernel/btf/wireguard); taking them from where Linux 5.6 to 6.12 have them\n");
	r = sink_open(s, why);
	return r < 0 ? r : go_on_kernel(k, s, why);
}

int keylog_verb(const struct cmd_call *call, void *settings)
{
	const struct scope_settings *o = settings;
	cleanup(buf_done) struct buf why = buf_of_max(1024);
	cleanup(sink_close) struct sink sink = {.log = KEY_LOG_NONE, .path = call->operands[0]};
	int r;

	stop_init(o->seconds);
	protect();
	r = o->kernel ? follow_kernel(call, &sink, &why) : follow_tunnel(call, &sink, &why);
	/* Whatever it waited for when a signal came. */
	if (r >= 0 || stop_asked())
		return 0;
	fprintf(stderr, "ginnel keylog: %s\n", why.len ? buf_str(&why) : strerror(-r));
	return 1;
}
