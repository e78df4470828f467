#include "scope/writer.h"

#include "base/clock.h"
#include "base/private_file.h"
#include "scope/exported.h"
#include "scope/outer.h"
#include "scope/pcapng.h"
#include "scope/record_keys.h"
#include "scope/session_memory.h"
#include "wg/messages.h"
#include "wg/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define PROGRAM "ginnel"
#define OUTER 0u
#define INNER 1u
#define EXPORTED 2u
#define BUFFER_MAX ((size_t)64 << 20)	/* the head of a file of many peers is the longest */
#define NAMES_MAX ((size_t)1 << 20)	/* bytes of a block of names */
#define HELD_NS NS_PER_S		/* keys come at once, or not at all */
#define INTERRUPTED_MAX 3
#define TOLD_MAX ((size_t)1024)
#define FLUSH_AT ((size_t)256 << 10)

struct writer {
	struct writer_config	 config;
	char			 path[PATH_MAX];	/* of the file that is open */
	int			 fd;
	bool			 is_file;		/* a regular one */
	unsigned		 n_files;		/* begun so far */
	uint64_t		 before;		/* bytes that stood in it before ours */
	uint64_t		 written;		/* bytes of this one */
	uint64_t		 full;			/* with so many bytes the next one begins */
	struct buf		 out;			/* whole blocks */
	struct buf		 held;			/* an initiation whose keys come behind it */
	struct buf		 behind;		/* blocks that came after it */
	uint8_t			 held_peer[CAPTURE_KEY_LEN];
	uint64_t		 held_ns;
	struct session_memory	*sessions;
	uint64_t		 packets;
	uint64_t		 lost, lost_before;	/* said so far; of these, before this file */
	struct outer_locals	 locals;
	/* Of the record that is being written. */
	struct buf		 told;
	unsigned		 level;
};

/* ---- files ---- */

static int say(struct buf *why, const struct writer *w, const char *what, int error)
{
	buf_printf(why, "%s %s: %s", what, w->fd == STDOUT_FILENO ? "standard output" : w->path,
		strerror(error));
	return -error;
}

/* PATH, or PATH with a number before its suffix. */
static int name_file(const struct writer *w, unsigned number, char ret[PATH_MAX])
{
	const char *path = w->config.path, *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
	int n;

	if (!w->config.file_max)
		n = snprintf(ret, PATH_MAX, "%s", path);
	else if (dot && dot > (slash ? slash + 1 : path))
		n = snprintf(ret, PATH_MAX, "%.*s-%05u%s", (int)(dot - path), path, number, dot);
	else
		n = snprintf(ret, PATH_MAX, "%s-%05u", path, number);
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

struct naming {
	struct buf	*out;
	size_t		 end;	/* no name begins behind it */
};

static void name_address(void *arg, unsigned family, const uint8_t *address, const char *name)
{
	const struct naming *n = arg;

	if (n->out->len < n->end)
		pcapng_names_add(n->out, family, address, name);
}

static void begin_section(struct writer *w)
{
	struct naming naming = {.out = &w->out, .end = NAMES_MAX};
	uint32_t snap = max(w->config.snap, (uint32_t)CAPTURE_HANDSHAKE_MAX);
	char outer[80];
	size_t at;

	snprintf(outer, sizeof(outer), "%s.outer", w->config.tunnel);
	pcapng_section(&w->out, PROGRAM " " GINNEL_VERSION);
	pcapng_interface(&w->out, PCAPNG_LINK_RAW, outer, "messages of the tunnel, outside it", snap + OUTER_MAX);
	pcapng_interface(&w->out, PCAPNG_LINK_RAW, w->config.tunnel, "packets inside the tunnel", w->config.snap);
	pcapng_interface(&w->out, PCAPNG_LINK_EXPORTED, outer,
		"messages of the tunnel, of ports that Wireshark knows otherwise", snap + EXPORTED_MAX);
	at = pcapng_names_begin(&w->out);
	names_each(w->config.names, name_address, &naming);
	pcapng_names_end(&w->out, at);
	session_memory_put(w->sessions, clock_ns(CLOCK_REALTIME), &w->out);
	/* Where the head alone fills a file, each holds as much again. */
	w->full = max(w->config.file_max, 2 * (uint64_t)w->out.len);
}

/* Where the next byte goes: a shell may have put something in front. */
static uint64_t file_end(int fd, const struct stat *st)
{
	off_t at = (fcntl(fd, F_GETFL) & O_APPEND) ? st->st_size : lseek(fd, 0, SEEK_CUR);

	return at < 0 ? 0 : (uint64_t)at;
}

/* Not through links that somebody else has laid, and what is there is not cut before it was looked at. */
static int open_path(const char *path)
{
	const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY;
	int fd = open(path, flags | O_NOFOLLOW, 0600);
	struct stat st;

	if (fd < 0 && errno == ELOOP && lstat(path, &st) == 0 && (!st.st_uid || private_file_is_ours(st.st_uid)))
		fd = open(path, flags, 0600);
	/* lint-ignore resourceLeak: it is the caller's from here on */
	return fd < 0 ? -errno : fd;
}

static const char *objection(const struct writer *w, const struct stat *st)
{
	if (S_ISCHR(st->st_mode))
		return NULL;
	if (w->config.secret)
		return private_file_objection(st);
	return S_ISREG(st->st_mode) && !private_file_is_ours(st->st_uid) ? "belongs to somebody else" : NULL;
}

static int refuse(const struct writer *w, const char *objection, struct buf *why)
{
	buf_printf(why, "no %s written to %s: it %s", w->config.secret ? "keys are" : "capture is",
		w->fd == STDOUT_FILENO ? "standard output" : w->path, objection);
	return -EPERM;
}

static int open_named(struct writer *w, struct buf *why)
{
	int r = name_file(w, w->n_files + 1, w->path);
	const char *no;
	struct stat st;

	if (r >= 0)
		r = w->fd = open_path(w->path);
	if (r == -ELOOP)
		return refuse(w, "is a symbolic link of somebody else's", why);
	if (r < 0)
		return say(why, w, "cannot write", -r);
	if (fstat(w->fd, &st) < 0)
		return say(why, w, "cannot write", errno);
	no = objection(w, &st);
	if (no)
		return refuse(w, no, why);
	if (S_ISREG(st.st_mode) && (fchmod(w->fd, 0600) < 0 || ftruncate(w->fd, 0) < 0))
		return say(why, w, "cannot make private", errno);
	return 0;
}

/* What the shell made for us others may read. */
static int take_standard_output(struct writer *w)
{
	struct stat st;

	w->fd = STDOUT_FILENO;
	if (fstat(w->fd, &st) == 0 && S_ISREG(st.st_mode))
		(void)fchmod(w->fd, 0600);
	return 0;
}

static int open_file(struct writer *w, struct buf *why)
{
	struct stat st;
	int r = strcmp(w->config.path, "-") ? open_named(w, why) : take_standard_output(w);

	if (r < 0)
		return r;
	if (fstat(w->fd, &st) < 0)
		return say(why, w, "cannot write", errno);
	w->is_file = S_ISREG(st.st_mode);
	/* It may not have been ours to change, and not every file system has modes. */
	if (w->is_file && w->config.secret && (st.st_mode & 077))
		return refuse(w, "may be opened by others, who could read the keys", why);
	if (isatty(w->fd)) {
		buf_puts(why, "a capture is not for a terminal: give a file with -w, or a pipe");
		return -EINVAL;
	}
	w->before = w->is_file ? file_end(w->fd, &st) : 0;
	w->written = 0;
	w->n_files++;
	return 0;
}

static void close_file(struct writer *w)
{
	if (w->fd != STDOUT_FILENO)
		close_fd(&w->fd);
	w->fd = -1;
}

/* ${written} bytes of the blocks in ${w->out} were taken: how many of these are whole blocks. */
static size_t whole_blocks(const struct writer *w, size_t written)
{
	size_t at = 0;

	for (;;) {
		uint32_t len;

		if (w->out.len - at < 8)
			return at;
		memcpy(&len, w->out.data + at + 4, sizeof(len));
		if (at + len > written)
			return at;
		at += len;
	}
}

static void release_held(struct writer *w)
{
	if (w->held.len)
		buf_put(&w->out, w->held.data, w->held.len);
	if (w->behind.len)
		buf_put(&w->out, w->behind.data, w->behind.len);
	if (w->behind.error)
		w->out.error = w->behind.error;
	buf_clear(&w->held);
	buf_clear(&w->behind);
}

int writer_flush(struct writer *w, struct buf *why)
{
	unsigned interrupted = 0;
	size_t at = 0;

	if (w->held.len && clock_ns(CLOCK_REALTIME) > w->held_ns + HELD_NS)
		release_held(w);
	if (w->out.error)
		return say(why, w, "no memory for", -w->out.error);
	while (at < w->out.len) {
		ssize_t n = write(w->fd, w->out.data + at, w->out.len - at);
		int error = errno;

		if (n >= 0) {
			at += (size_t)n;
			interrupted = 0;
			continue;
		}
		/* Who reads a pipe has some seconds after the signal that ends us. */
		if (error == EINTR && ++interrupted < INTERRUPTED_MAX)
			continue;
		if (error == EAGAIN) {
			if (poll(&(struct pollfd){.fd = w->fd, .events = POLLOUT}, 1, -1) >= 0 ||
				++interrupted < INTERRUPTED_MAX)
				continue;
			error = EINTR;
		}
		/* A file ends with its last whole block. */
		if (w->is_file && ftruncate(w->fd, (off_t)(w->before + w->written + whole_blocks(w, at))) < 0)
			buf_printf(why, "the last packet in the file is cut off; ");
		buf_clear(&w->out);
		return say(why, w, "cannot go on writing", error);
	}
	w->written += at;
	buf_clear(&w->out);
	return 0;
}

static int next_file(struct writer *w, struct buf *why)
{
	char old[PATH_MAX];
	int r = writer_flush(w, why);

	if (r < 0)
		return r;
	close_file(w);
	if (w->config.files_max && w->n_files >= w->config.files_max &&
		name_file(w, w->n_files + 1 - w->config.files_max, old) == 0)
		(void)unlink(old);
	r = open_file(w, why);
	if (r < 0)
		return r;
	begin_section(w);
	w->lost_before = w->lost;
	return 0;
}

int writer_open(const struct writer_config *config, struct writer **ret, struct buf *why)
{
	struct writer *w = calloc(1, sizeof(*w));
	int r;

	if (!w) {
		buf_puts(why, strerror(ENOMEM));
		return -ENOMEM;
	}
	w->config = *config;
	w->fd = -1;
	w->out = buf_of_max(BUFFER_MAX);
	w->held = buf_of_max(CAPTURE_SNAP_MAX);
	w->behind = buf_of_max(BUFFER_MAX);
	w->told = buf_of_max(TOLD_MAX);
	r = session_memory_new(&w->sessions);
	if (r >= 0)
		r = open_file(w, why);
	if (r >= 0) {
		begin_section(w);
		r = writer_flush(w, why);
	}
	if (r < 0) {
		cleanup(buf_done) struct buf ignored = buf_of_max(1024);

		buf_clear(&w->out);
		(void)writer_close(w, &ignored);
		return r;
	}
	*ret = w;
	return 0;
}

/* ---- records ---- */

_Static_assert(EXPORTED_MAX >= OUTER_MAX, "");

static void put_message(struct writer *w, const struct capture_record *r, const uint8_t *data,
	const char *comment, struct buf *b)
{
	bool in = r->point == WG_TAP_OUTER_IN || (r->point == WG_TAP_DROPPED && r->drop != WG_DROP_SEND_FAILED);
	const uint8_t *local = outer_local(&w->locals, r->family, r->remote, r->local);
	const struct outer o = {.family = r->family,
		.from = in ? r->remote : local,
		.to = in ? local : r->remote,
		.from_port = in ? r->remote_port : r->local_port,
		.to_port = in ? r->local_port : r->remote_port,
		.tos = r->tos,
		.len = r->len};
	bool exported = exported_is_needed(o.from_port) || exported_is_needed(o.to_port);
	uint8_t header[EXPORTED_MAX];
	size_t n = exported ? exported_make(&o, header) : outer_make(&o, data, r->kept, header);
	const struct iovec parts[] = {{header, n}, {(void *)data, r->kept}};

	pcapng_packet(b,
		&(struct pcapng_packet){.interface = exported ? EXPORTED : OUTER,
			.real_ns = r->real_ns,
			.parts = parts,
			.n_parts = 2,
			.len = (uint32_t)n + r->len,
			.direction = in ? PCAPNG_IN : PCAPNG_OUT,
			.comment = comment});
	w->packets++;
}

static void put_inner(struct writer *w, const struct capture_record *r, const uint8_t *data,
	const char *comment, struct buf *b)
{
	/* What died with a verdict was on its way in. */
	bool in = r->point == WG_TAP_INNER_IN || r->drop == WG_DROP_INNER_SOURCE || r->drop == WG_DROP_INNER_LENGTH;
	const struct iovec part = {(void *)data, r->kept};

	pcapng_packet(b,
		&(struct pcapng_packet){.interface = INNER,
			.real_ns = r->real_ns,
			.parts = &part,
			.n_parts = 1,
			.len = r->len,
			.direction = in ? PCAPNG_IN : PCAPNG_OUT,
			.comment = comment});
	w->packets++;
}

static void put_event(struct writer *w, const struct capture_record *r, struct buf *b)
{
	cleanup(buf_done) struct buf line = buf_of_max(TOLD_MAX + 128);
	char who[NAME_MAX_LEN + 1];

	if (!w->told.len)
		return;
	story_who(w->config.story, r, who);
	buf_printf(&line, "%s: %s", r->has_peer ? who : w->config.tunnel, buf_str(&w->told));
	pcapng_event(b, r->real_ns, w->level, PROGRAM, buf_str(&line));
}

static bool is_ip(const uint8_t *data, size_t len)
{
	return len && (data[0] >> 4 == 4 || data[0] >> 4 == 6);
}

static bool is_message(const struct capture_record *r)
{
	return r->point == WG_TAP_OUTER_IN || r->point == WG_TAP_OUTER_OUT ||
	       (r->point == WG_TAP_DROPPED && (r->family == 4 || r->family == 6));
}

static void put_packet(struct writer *w, const struct capture_record *r, const uint8_t *data, struct buf *b)
{
	cleanup(buf_done) struct buf comment = buf_of_max(TOLD_MAX + 128);
	char who[NAME_MAX_LEN + 1];
	bool message = is_message(r);

	if (r->has_peer && (message || r->drop)) {
		story_who(w->config.story, r, who);
		buf_puts(&comment, who);
	}
	if (r->drop) {
		buf_puts(&comment, comment.len ? ": " : "");
		buf_put(&comment, w->told.data, w->told.len);
	}
	if (message && r->kept && (r->family == 4 || r->family == 6))
		put_message(w, r, data, comment.len ? buf_str(&comment) : NULL, b);
	else if (!message && is_ip(data, r->kept))
		put_inner(w, r, data, comment.len ? buf_str(&comment) : NULL, b);
	else
		put_event(w, r, b);
}

/* ---- keys and the messages that need them ---- */

/* Where the next block belongs. */
static struct buf *sink(struct writer *w)
{
	return w->held.len ? &w->behind : &w->out;
}

static void put_secrets(struct writer *w, const struct capture_record *r, const uint8_t *data)
{
	cleanup(buf_done) struct buf text = buf_of_max(1024), block = buf_of_max(2048);
	bool held = w->held.len && !memcmp(w->held_peer, r->public_key, sizeof(w->held_peer));
	struct key_log_keys keys;

	if (!record_keys(r, data, &keys))
		return;
	if (!held)
		release_held(w);
	key_log_put(&keys, &text);
	pcapng_secrets(&block, PCAPNG_SECRETS_WIREGUARD, text.data, text.len);
	if (!block.error)
		buf_put(&w->out, block.data, block.len);
	session_memory_begin(w->sessions, r->public_key, &block);
	if (held)
		session_memory_add(w->sessions, r->public_key, r->real_ns, false, &w->held);
	release_held(w);
}

/* An accepted message of a handshake is needed again in the next file. */
static void put_handshake(struct writer *w, const struct capture_record *r, const uint8_t *data)
{
	cleanup(buf_done) struct buf block = buf_of_max(4096);
	enum wg_message type = wg_message_check(data, r->kept);

	release_held(w);
	put_packet(w, r, data, &block);
	if (r->has_peer && !r->drop && type == WG_MESSAGE_INITIATION && r->point == WG_TAP_OUTER_IN) {
		buf_put(&w->held, block.data, block.len);
		memcpy(w->held_peer, r->public_key, sizeof(w->held_peer));
		w->held_ns = clock_ns(CLOCK_REALTIME);
		return;
	}
	if (block.error)
		w->out.error = block.error;
	buf_put(&w->out, block.data, block.len);
	if (r->has_peer && !r->drop && type != WG_MESSAGE_COOKIE)
		session_memory_add(w->sessions, r->public_key, r->real_ns, type == WG_MESSAGE_RESPONSE, &block);
}

static bool is_handshake(const struct capture_record *r, const uint8_t *data)
{
	return is_message(r) && r->family && r->kept == r->len && r->kept && data[0] != WG_MESSAGE_DATA &&
	       wg_message_check(data, r->kept) != 0;
}

int writer_put(struct writer *w, const struct capture_record *r, const uint8_t *data, struct buf *why)
{
	buf_clear(&w->told);
	if (!story_tell(w->config.story, r, data, &w->told, &w->level))
		buf_clear(&w->told);
	if (r->kind == CAPTURE_SECRETS)
		put_secrets(w, r, data);
	else if (r->kind == CAPTURE_EVENT)
		put_event(w, r, sink(w));
	else if (r->kind == CAPTURE_PACKET && is_handshake(r, data))
		put_handshake(w, r, data);
	else if (r->kind == CAPTURE_PACKET)
		put_packet(w, r, data, sink(w));
	if (w->behind.len >= FLUSH_AT)
		release_held(w);
	if (w->config.file_max && w->written + w->out.len >= w->full && !w->held.len)
		return next_file(w, why);
	return w->out.len >= FLUSH_AT || w->out.error ? writer_flush(w, why) : 0;
}

int writer_lost(struct writer *w, uint64_t lost, struct buf *why)
{
	cleanup(buf_done) struct buf text = buf_of_max(256);
	uint64_t now = clock_ns(CLOCK_REALTIME);

	if (lost <= w->lost)
		return 0;
	buf_printf(&text, "%s: %llu records lost here: whoever reads this capture is too slow",
		w->config.tunnel, (unsigned long long)(lost - w->lost));
	w->lost = lost;
	pcapng_event(&w->out, now, 4, PROGRAM, buf_str(&text));
	pcapng_statistics(&w->out, OUTER, now, lost - w->lost_before);
	return writer_flush(w, why);
}

int writer_close(struct writer *w, struct buf *why)
{
	int r = 0;

	if (w->fd >= 0) {
		release_held(w);
		r = writer_flush(w, why);
	}
	close_file(w);
	session_memory_free(w->sessions);
	buf_done(&w->out);
	buf_done(&w->held);
	buf_done(&w->behind);
	buf_done(&w->told);
	free(w);
	return r;
}

int writer_fd(const struct writer *w)
{
	return w->fd;
}

uint64_t writer_packets(const struct writer *w)
{
	return w->packets;
}
