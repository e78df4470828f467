#include "scope/kernel_keys.h"

#include "scope/btf.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define NAME "ginnel_keylog" /* of the instance, and of the group of the probe */
#define SYMBOL "wg_index_hashtable_insert"
#define BTF_DIR "/sys/kernel/btf"
#define BTF_MAX ((size_t)64 << 20)
#define LINE_MAX_LEN 4096
#define LOOK_MS 50		/* wake-ups get lost */
#define BUFFER_KB "256"		/* for each processor: some 1,500 handshakes */

/* In struct noise_handshake, of which the table's entry is the first member. */
enum { EPHEMERAL, REMOTE, PRESHARED, IDENTITY, STATIC, N_OFFSETS };
static const struct {
	const char	*type, *member;
	size_t		 known;		/* in all kernels from 5.6 to 6.12 */
} members[N_OFFSETS] = {
	[EPHEMERAL] = {"noise_handshake", "ephemeral_private", 56},
	[REMOTE] = {"noise_handshake", "remote_static", 88},
	[PRESHARED] = {"noise_handshake", "preshared_key", 184},
	[IDENTITY] = {"noise_handshake", "static_identity", 48},
	[STATIC] = {"noise_static_identity", "static_private", 32},
};

struct kernel_keys {
	const char	*root;		/* tracefs */
	bool		 instance, probe; /* what of ours is there */
	int		 fd;		/* trace_pipe */
	struct buf	 in;
	bool		 guessed;
	uint64_t	 lost;
	size_t		 at[N_OFFSETS];
	uint8_t		 keys[4][KEY_LEN]; /* static, ephemeral, remote, preshared */
};

/* ---- tracefs ---- */

static int path_of(const struct kernel_keys *k, const char *name, char ret[256])
{
	int n = snprintf(ret, 256, "%s/%s", k->root, name);

	return n < 0 || n >= 256 ? -ENAMETOOLONG : 0;
}

static int put_text(const struct kernel_keys *k, const char *name, const char *text, int flags)
{
	cleanup(close_fd) int fd = -1;
	char path[256];
	int r = path_of(k, name, path);

	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CLOEXEC | flags);
	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int find_tracefs(struct kernel_keys *k, struct buf *why)
{
	static const char *const roots[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
	char path[256];

	for (size_t i = 0; i < array_size(roots); i++) {
		k->root = roots[i];
		if (path_of(k, "kprobe_events", path) == 0 && access(path, W_OK) == 0)
			return 0;
	}
	buf_puts(why, geteuid() ? "takes root" :
		"there is no tracefs with kprobes: mount -t tracefs tracefs /sys/kernel/tracing "
		"(the kernel needs CONFIG_KPROBE_EVENTS and must not be locked down)");
	return geteuid() ? -EPERM : -ENOENT;
}

/* An instance that somebody reads cannot be removed: then it is alive. */
static int make_instance(struct kernel_keys *k, struct buf *why)
{
	char path[256];
	int r = path_of(k, "instances/" NAME, path);

	if (r < 0)
		return r;
	if (rmdir(path) < 0 && errno != ENOENT) {
		r = -errno;
		buf_printf(why, r == -EBUSY ? "another ginnel keylog --kernel runs" :
			"cannot remove what an earlier run left at %s: %s", path, strerror(-r));
		return r;
	}
	(void)put_text(k, "kprobe_events", "-:" NAME "/insert", O_APPEND);
	if (mkdir(path, 0700) < 0) {
		r = -errno;
		buf_printf(why, "cannot make the trace instance %s: %s", path, strerror(-r));
		return r;
	}
	k->instance = true;
	return 0;
}

/* ---- where the keys are ---- */

static int read_all(const char *path, struct buf *ret)
{
	cleanup(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		uint8_t *to = buf_reserve(ret, 65536);

		if (!to)
			return ret->error;
		n = read(fd, to, 65536);
		if (n > 0)
			ret->len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}

static int ask_kernel(bool module, size_t ret[N_OFFSETS])
{
	cleanup(buf_done) struct buf base = buf_of_max(BTF_MAX), own = buf_of_max(BTF_MAX);
	int r = read_all(module ? BTF_DIR "/wireguard" : BTF_DIR "/vmlinux", &own);

	if (r >= 0 && module)
		r = read_all(BTF_DIR "/vmlinux", &base);
	for (int i = 0; i < N_OFFSETS && r >= 0; i++)
		r = btf_member_offset((struct btf){base.data, base.len}, (struct btf){own.data, own.len},
			members[i].type, members[i].member, &ret[i]);
	return r;
}

static void find_offsets(struct kernel_keys *k, bool module)
{
	k->guessed = ask_kernel(module, k->at) < 0;
	for (int i = 0; i < N_OFFSETS && k->guessed; i++)
		k->at[i] = members[i].known;
}

/* ---- the probe ---- */

/* 1: in a module, 0: in the kernel itself. */
static int find_symbol(struct buf *why)
{
	cleanup(free_ptr) char *line = NULL;
	FILE *f = fopen("/proc/kallsyms", "re");
	size_t size = 0;
	int r = -ENOENT;

	while (f && r == -ENOENT && getline(&line, &size, f) > 0) {
		const char *name = strstr(line, " " SYMBOL);

		if (name && strchr("\t\n", name[strlen(" " SYMBOL)]))
			r = strstr(name, "[wireguard]") != NULL;
	}
	if (f)
		fclose(f);
	if (r == -ENOENT && access("/sys/module/wireguard", F_OK) < 0)
		buf_puts(why, "the kernel's WireGuard is not there: modprobe wireguard, or bring up a tunnel of it first");
	else if (r == -ENOENT)
		buf_puts(why, "the kernel's WireGuard has no " SYMBOL "() to put a probe at");
	return r;
}

static int set_probe(struct kernel_keys *k, bool module, struct buf *why)
{
	cleanup(buf_done) struct buf text = buf_of_max(1024);
	int r;

	buf_printf(&text, "p:" NAME "/insert %s" SYMBOL
		" s=+%zu(+%zu($arg2)):x64[4] e=+%zu($arg2):x64[4] r=+%zu($arg2):x64[4] p=+%zu($arg2):x64[4]",
		module ? "wireguard:" : "", k->at[STATIC], k->at[IDENTITY], k->at[EPHEMERAL], k->at[REMOTE],
		k->at[PRESHARED]);
	r = put_text(k, "kprobe_events", buf_str(&text), O_APPEND);
	if (r < 0) {
		buf_printf(why, "cannot put a probe at " SYMBOL "(): %s; the kernel says why in %s/error_log",
			strerror(-r), k->root);
		return r;
	}
	k->probe = true;
	return 0;
}

static int switch_on(struct kernel_keys *k, struct buf *why)
{
	char path[256];
	int r = path_of(k, "instances/" NAME "/trace_pipe", path);

	/* Not there before Linux 4.20: then LOOK_MS is what counts. */
	(void)put_text(k, "instances/" NAME "/buffer_percent", "0", 0);
	if (r >= 0)
		r = put_text(k, "instances/" NAME "/buffer_size_kb", BUFFER_KB, 0);
	if (r >= 0) {
		k->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		r = k->fd < 0 ? -errno : 0;
	}
	if (r >= 0)
		r = put_text(k, "instances/" NAME "/events/" NAME "/insert/enable", "1", 0);
	if (r < 0)
		buf_printf(why, "cannot switch the probe on: %s", strerror(-r));
	return r;
}

int kernel_keys_new(struct kernel_keys **ret, struct buf *why)
{
	cleanup(kernel_keys_freep) struct kernel_keys *k = calloc(1, sizeof(*k));
	int r, module;

	if (!k) {
		buf_puts(why, strerror(ENOMEM));
		return -ENOMEM;
	}
	k->fd = -1;
	k->in = buf_of_max(1 << 20);
	r = find_tracefs(k, why);
	if (r < 0)
		return r;
	module = find_symbol(why);
	if (module < 0)
		return module;
	find_offsets(k, module);
	r = make_instance(k, why);
	if (r >= 0)
		r = set_probe(k, module, why);
	if (r >= 0)
		r = switch_on(k, why);
	if (r < 0)
		return r;
	*ret = steal(k);
	return 0;
}

void kernel_keys_free(struct kernel_keys *k)
{
	char path[256];

	/* Else these are another one's. */
	if (k->probe)
		(void)put_text(k, "instances/" NAME "/events/" NAME "/insert/enable", "0", 0);
	close_fd(&k->fd);
	if (k->instance && path_of(k, "instances/" NAME, path) == 0)
		(void)rmdir(path);
	if (k->probe)
		(void)put_text(k, "kprobe_events", "-:" NAME "/insert", O_APPEND);
	buf_done(&k->in);
	explicit_bzero(k, sizeof(*k));
	free(k);
}

/* ---- what it says ---- */

/* " e={0x1,0x2,0x3,0x4}": the machine's words, so the bytes as they lie. */
static bool read_key(const char *line, const char *label, uint8_t ret[KEY_LEN])
{
	const char *at = strstr(line, label);
	uint64_t words[4];

	if (!at)
		return false;
	at += strlen(label);
	for (int i = 0; i < 4; i++) {
		char *end;

		words[i] = strtoull(at, &end, 16);
		if (end == at || *end != (i == 3 ? '}' : ','))
			return false;
		at = end + 1;
	}
	memcpy(ret, words, KEY_LEN);
	explicit_bzero(words, sizeof(words));
	return true;
}

/* "CPU:1 [LOST 12 EVENTS]" */
static uint64_t read_lost(const char *line)
{
	const char *at = strstr(line, "[LOST ");

	return at ? strtoull(at + strlen("[LOST "), NULL, 10) : 0;
}

/* 1: ${line} had the keys of a handshake. */
static int take_line(struct kernel_keys *k, const char *line, struct key_log_keys *ret)
{
	static const char *const labels[] = {" s={", " e={", " r={", " p={"};

	k->lost += read_lost(line);
	if (!strstr(line, SYMBOL))
		return 0;
	for (size_t i = 0; i < array_size(labels); i++)
		if (!read_key(line, labels[i], k->keys[i])) {
			k->lost++;
			return 0;
		}
	*ret = (struct key_log_keys){.local_static = k->keys[0],
		.local_ephemeral = k->keys[1],
		.remote_static = k->keys[2],
		.preshared = k->keys[3]};
	return 1;
}

static int next_line(struct kernel_keys *k, struct key_log_keys *ret)
{
	for (;;) {
		uint8_t *end = k->in.len ? memchr(k->in.data, '\n', k->in.len) : NULL;
		int got;

		if (!end)
			return 0;
		*end = '\0';
		got = take_line(k, (const char *)k->in.data, ret);
		buf_drop_front(&k->in, (size_t)(end + 1 - k->in.data));
		if (got)
			return got;
	}
}

int kernel_keys_next(struct kernel_keys *k, int timeout_ms, struct key_log_keys *ret, struct buf *why)
{
	for (;;) {
		int got = next_line(k, ret), wait_ms = min(timeout_ms, LOOK_MS);
		uint8_t *to;
		ssize_t n;

		if (got)
			return got;
		to = buf_reserve(&k->in, LINE_MAX_LEN);
		n = to ? read(k->fd, to, LINE_MAX_LEN) : -1;
		if (n > 0) {
			k->in.len += (size_t)n;
			continue;
		}
		if (!to || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			int error = to ? errno : ENOMEM;

			buf_printf(why, "cannot read what the probe says: %s", strerror(error));
			return -error;
		}
		if (timeout_ms <= 0 || poll(&(struct pollfd){.fd = k->fd, .events = POLLIN}, 1, wait_ms) < 0)
			return 0;
		timeout_ms -= wait_ms;
	}
}

bool kernel_keys_guessed(const struct kernel_keys *k)
{
	return k->guessed;
}

uint64_t kernel_keys_lost(const struct kernel_keys *k)
{
	return k->lost;
}
