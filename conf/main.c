/* ginnel-conf: a tunnel as its file says. */
#include "base/cmd.h"
#include "base/log.h"
#include "conf/apply.h"
#include "conf/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/stat.h>

#define CONF_DIR "/etc/wireguard"
#define LEAVE_VARIABLE "GINNEL_CONF_LEAVE"
#define FILE_MAX ((size_t)64 << 20)
#define USAGE_STATUS 2

struct settings {
	unsigned	leave;	/* CONF_LEFT_... */
	char		file[PATH_MAX];
};

/* The tunnel that the operand means, a name or a path, and its file. */
struct tunnel {
	char	name[IFNAMSIZ];
	char	path[PATH_MAX];
};

static int find_tunnel(const struct cmd_call *call, const struct settings *s, struct tunnel *ret)
{
	const char *operand = call->operands[0], *slash = strrchr(operand, '/'), *base = slash ? slash + 1 : operand;
	size_t len = strlen(base);
	int n;

	if (slash && len > 5 && !strcmp(base + len - 5, ".conf"))
		len -= 5;
	if (!len || len >= sizeof(ret->name) || strcspn(base, " \t\n:") < len || !strcmp(base, ".") || !strcmp(base, "..")) {
		fprintf(stderr, "ginnel-conf: %s: an interface name has 1 to %d characters, no blank or ':'\n", operand,
			IFNAMSIZ - 1);
		return -EINVAL;
	}
	memcpy(ret->name, base, len);
	ret->name[len] = '\0';
	if (s->file[0])
		n = snprintf(ret->path, sizeof(ret->path), "%s", s->file);
	else if (slash)
		n = snprintf(ret->path, sizeof(ret->path), "%s", operand);
	else
		n = snprintf(ret->path, sizeof(ret->path), "%s/%s.conf", CONF_DIR, ret->name);
	return n >= (int)sizeof(ret->path) ? -ENAMETOOLONG : 0;
}

static int read_file(const char *path, struct buf *ret, bool *ret_open)
{
	cleanup(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	*ret_open = S_ISREG(st.st_mode) && st.st_mode & S_IRWXO;
	for (;;) {
		uint8_t *room = buf_reserve(ret, 4096);
		ssize_t n;

		if (!room)
			return ret->error;
		n = read(fd, room, 4096);
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		ret->len += (size_t)n;
	}
}

/* The file's settings; what is wrong with it is printed. */
static int load(const struct tunnel *t, const struct settings *s, struct conf_file **ret)
{
	cleanup(buf_done) struct buf text = buf_of_max(FILE_MAX), errors = buf_of_max(1 << 20), warnings = buf_of_max(1 << 20);
	bool open_to_all = false;
	int r = read_file(t->path, &text, &open_to_all);

	if (r < 0) {
		fprintf(stderr, "ginnel-conf: cannot read %s: %s\n", t->path, strerror(-r));
		return r;
	}
	if (open_to_all)
		fprintf(stderr, "ginnel-conf: warning: everybody may read the keys in %s: chmod 600 it\n", t->path);
	r = conf_read(t->path, (const char *)text.data, text.len, s->leave, ret, &errors, &warnings);
	fputs(buf_str(&errors), stderr);
	fputs(buf_str(&warnings), stderr);
	if (r == -ENOMEM || errors.error)
		fprintf(stderr, "ginnel-conf: %s: %s\n", t->path, strerror(ENOMEM));
	return r;
}

static int check(const struct cmd_call *call, void *into)
{
	cleanup(conf_freep) struct conf_file *c = NULL;
	struct tunnel t;

	return find_tunnel(call, into, &t) < 0 || load(&t, into, &c) < 0;
}

/* Lines bear the tunnel's name. */
static void open_log(const struct tunnel *t)
{
	char prefix[64];

	snprintf(prefix, sizeof(prefix), "ginnel-conf(%s)", t->name);
	log_open(prefix, LOG_LEVEL_INFO);
}

static int run_apply(const struct cmd_call *call, void *into)
{
	cleanup(conf_freep) struct conf_file *c = NULL;
	cleanup(close_fd) int lock = -1;
	struct tunnel t;

	if (find_tunnel(call, into, &t) < 0)
		return 1;
	lock = apply_lock(t.name);
	if (load(&t, into, &c) < 0)
		return 1;
	open_log(&t);
	return apply(t.name, c) < 0;
}

static int run_down(const struct cmd_call *call, void *into)
{
	cleanup(buf_done) struct buf text = buf_of_max(FILE_MAX), unsaid = buf_of_max(1 << 20);
	cleanup(conf_freep) struct conf_file *c = NULL;
	struct tunnel t;
	bool unused;

	if (find_tunnel(call, into, &t) < 0)
		return 1;
	open_log(&t);
	/* A file that is gone or wrong by now keeps nothing up. */
	if (read_file(t.path, &text, &unused) == 0)
		(void)conf_read(t.path, (const char *)text.data, text.len, (unsigned)conf_left_enum.mask, &c, &unsaid, &unsaid);
	return apply_down(t.name, c) < 0;
}

static int run_watch(const struct cmd_call *call, void *into)
{
	struct tunnel t;

	if (find_tunnel(call, into, &t) < 0)
		return 1;
	open_log(&t);
	return watch_run(t.name) < 0;
}

static int add_leave(void *into, const char *text, struct buf *why)
{
	struct settings *s = into;
	cleanup(buf_done) struct buf names = buf_of_max(256);
	int64_t set;

	/* Commas, as in other lists of a command line. */
	for (; *text; text++)
		buf_put(&names, *text == ',' ? "|" : text, 1);
	if (flags_parse(&conf_left_enum, FLAGS_STRICT, buf_str(&names), &set, why) < 0)
		return -EINVAL;
	s->leave |= (unsigned)set;
	return 0;
}

static const struct cmd_option read_options[] = {
	{"file", .metavar = "FILE", .value = VALUE_TEXT_AT(settings, file, 0, ""),
		.help = "read this instead of /etc/wireguard/NAME.conf"},
	{"leave", .metavar = "LIST", .each = add_leave, .value = {.kind = VALUE_FLAGS, .type = &conf_left_enum},
		.help = "let the file ask for what is not done: of hooks, dns and save, with commas between"},
};

static const struct cmd commands[] = {
	{"check", .operands = "NAME", .least = 1, .most = 1, .run = check, CMD_OPTIONS(read_options),
		.help = "say what is wrong with the file, and change nothing"},
	{"apply", .operands = "NAME", .least = 1, .most = 1, .run = run_apply, CMD_OPTIONS(read_options),
		.help = "make the running tunnel what the file says; what does not differ is left alone"},
	{"watch", .operands = "NAME", .least = 1, .most = 1, .run = run_watch,
		.help = "stay, and look up the names of peers again that fall silent"},
	{"down", .operands = "NAME", .least = 1, .most = 1, .run = run_down,
		.options = read_options, .n_options = 1, /* --file */
		.help = "take away rules that do not go with the interface"},
};

static const struct cmd root = {
	"ginnel-conf", CMD_COMMANDS(commands), .help = "configure a tunnel from its file, as wg-quick writes it",
	.more = "NAME is an interface, or the path of a file that is called after it.  "
		"Environment: GINNEL_CONF_LEAVE, a list as of --leave."};

int main(int argc, char **argv)
{
	struct settings settings = {.leave = 0};
	const char *leave = getenv(LEAVE_VARIABLE);
	cleanup(buf_done) struct buf why = buf_of_max(1024);

	if (leave && *leave && add_leave(&settings, leave, &why) < 0) {
		fprintf(stderr, "ginnel-conf: " LEAVE_VARIABLE ": %s\n", buf_str(&why));
		return USAGE_STATUS;
	}
	return cmd_main(&root, argc, argv, &settings, USAGE_STATUS);
}
