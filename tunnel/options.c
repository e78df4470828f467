#include "tunnel/options.h"

#include "base/buf.h"
#include "wg/messages.h"

#include <errno.h>
#include <sys/socket.h>

ENUM_DEFINE(options_action, OPTIONS_ACTION_LIST);

static int add_without(void *into, const char *text, struct buf *why)
{
	struct options *o = into;

	for (;; text++) {
		size_t len = strcspn(text, ",|");
		cleanup(buf_done) struct buf name = buf_of_max(256);
		int64_t piece;

		if (buf_put(&name, text, len) < 0 ||
			enum_value(&fast_path_enum, buf_str(&name), &piece) < 0) {
			enum_say_unknown(&fast_path_enum, buf_str(&name), why);
			return -EINVAL;
		}
		o->without |= (unsigned)piece;
		text += len;
		if (!*text)
			return 0;
	}
}

static int add_bind_address(void *into, const char *text, struct buf *why)
{
	struct options *o = into;
	struct bind_address a;
	int r = bind_address_parse(text, &a, why);

	if (r < 0)
		return r;
	if (a.family == AF_INET6) {
		o->bind.v6 = a;
		o->n_v6++;
	} else {
		o->bind.v4 = a;
		o->n_v4++;
	}
	return 0;
}

static int set_bind_device(void *into, const char *text, struct buf *why)
{
	struct options *o = into;

	if (!options_name_valid(text)) {
		buf_puts(why, "is no name of an interface");
		return -EINVAL;
	}
	memset(o->bind.device, 0, sizeof(o->bind.device));
	memcpy(o->bind.device, text, strlen(text));
	return 0;
}

static const struct cmd_option rows[] = {
	{"foreground", 'f', .value = VALUE_BOOL_AT(options, foreground),
		.help = "stay in the foreground and log to standard error"},
	{"workers", .metavar = "N", .value = VALUE_INT_AT(options, workers, 0, WG_WORKERS_MAX, "0"),
		.help = "threads that move packets; 0: one for each processor"},
	{"without", .metavar = "LIST", .each = add_without,
		.value = {.kind = VALUE_FLAGS, .type = &fast_path_enum},
		.help = "pieces of the fast path to do without, with commas between, or all"},
	{"bind-address", .metavar = "ADDRESS", .each = add_bind_address,
		.help = "listen on this address only, and not in the other family unless that has one too"},
	{"bind-device", .metavar = "DEVICE", .each = set_bind_device,
		.help = "send and receive by this network device only; a VRF is one"},
	{"retain-keys", .value = VALUE_BOOL_AT(options, retain),
		.help = "keep the handshake of each session, so that a capture can read it from the middle on"},
	{"replace", .value = VALUE_BOOL_AT(options, replace),
		.help = "take over the interface and all sessions from the daemon that serves it"},
	{"upgrade", .value = VALUE_BOOL_AT(options, upgrade),
		.help = "--replace, unless the daemon that serves it is this program with these options"},
	{"version", .value = VALUE_BOOL_AT(options, version), .help = "print the version"},
};

/*
 * Never called: the table is only parsed here, and main() does the work.  A command without one
 * would need a sub-command.
 */
static int run(const struct cmd_call *call, void *into)
{
	return 0;
}

const struct cmd options_cmd = {
	.name = "ginnel-wg",
	.operands = "INTERFACE-NAME",
	.most = CMD_MOST_ANY, /* wireguard-go answers to any number with its usage */
	.help = "WireGuard in user space: create the interface and serve it until it is deleted",
	.more = "Environment: LOG_LEVEL=error|info|verbose|silent, WG_PROCESS_FOREGROUND=1, the descriptors WG_TUN_FD and WG_UAPI_FD, a file for keys WG_KEYLOGFILE, and GINNEL_WG_OPTIONS, options that stand in front of those of the command line.",
	.run = run,
	CMD_OPTIONS(rows),
};

bool options_name_valid(const char *name)
{
	size_t len = strlen(name);

	if (!len || len > OPTIONS_NAME_MAX || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];

		/*
		 * The kernel refuses '/', ':' and blanks; what cannot be printed is nobody's
		 * intention.
		 */
		if (c <= ' ' || c == 0x7f || c == '/' || c == ':')
			return false;
	}
	return true;
}

/* Parse one line by ${cmd}, whose name begins each message. */
static int parse_line(const struct cmd *cmd, int argc, char *argv[], struct options *ret,
	struct cmd_call *ret_call, FILE *err)
{
	cleanup(buf_done) struct buf why = buf_of_max(4096);
	int r;

	*ret = (struct options){0};
	r = cmd_parse(cmd, argc, argv, ret, ret_call, &why);
	if (r < 0)
		fprintf(err, "%s\n", buf_str(&why));
	return r;
}

static int check_addresses(const char *where, unsigned n_v4, unsigned n_v6, FILE *err)
{
	if (n_v4 <= 1 && n_v6 <= 1)
		return 0;
	fprintf(err,
		"%s: --bind-address: at most one IPv4 and one IPv6 address: leave out the others\n",
		where);
	return -EINVAL;
}

static int parse_command_line(
	int argc, char *argv[], struct options *ret, struct cmd_call *ret_call, FILE *err)
{
	int r = parse_line(&options_cmd, argc, argv, ret, ret_call, err);

	return r < 0 || ret_call->help ? r
				       : check_addresses(options_cmd.name, ret->n_v4, ret->n_v6, err);
}

/* The words of the variable by themselves, so that what is wrong with them names it. */
static int check_variable(int argc, char *argv[], FILE *err)
{
	static const struct cmd cmd = {
		.name = "ginnel-wg: " OPTIONS_VARIABLE,
		.most = CMD_MOST_ANY,
		.run = run,
		CMD_OPTIONS(rows),
	};
	struct options o;
	struct cmd_call call;
	int r;

	for (int i = 1; i < argc; i++) {
		/* It would make operands of the command line's options. */
		if (!strcmp(argv[i], "--")) {
			fprintf(err, "%s: leave out the --\n", cmd.name);
			return -EINVAL;
		}
	}
	r = parse_line(&cmd, argc, argv, &o, &call, err);
	if (r < 0)
		return r;
	if (call.help || o.version || o.replace || o.upgrade || call.n_operands) {
		fprintf(err, "%s: it can hold options for the tunnel only, not %s\n", cmd.name,
			call.help	? "--help"
			: o.version	? "--version"
			: o.replace	? "--replace"
			: o.upgrade	? "--upgrade"
					: "operands; give the interface's name on the command line");
		return -EINVAL;
	}
	return check_addresses(cmd.name, o.n_v4, o.n_v6, err);
}

/* Make words of ${text}, in place, in ${words}.  How many. */
static int split_words(char *text, char *words[])
{
	int n = 0;

	for (char *word = strtok_r(text, " \t\n", &text); word;
		word = strtok_r(NULL, " \t\n", &text))
		words[n++] = word;
	return n;
}

/*
 * The variable's options and behind them the words ${argv}, so that where both speak the command
 * line counts.
 */
static int parse_both(
	const char *variable, int argc, char *const argv[], struct options *ret, FILE *err)
{
	cleanup(free_ptr) char *text = strdup(variable);
	cleanup(free_ptr) char **words = NULL, **copy = NULL;
	size_t room = strlen(variable) + (size_t)argc + 2;
	const struct options from_line = *ret;
	struct cmd_call call;
	int n, r;

	words = calloc(room, sizeof(words[0]));
	copy = calloc(room, sizeof(copy[0]));
	if (!text || !words || !copy) {
		fprintf(err, "%s: %s\n", options_cmd.name, strerror(ENOMEM));
		return -ENOMEM;
	}
	words[0] = copy[0] = argv[0];
	n = 1 + split_words(text, words + 1);
	memcpy(copy, words, (size_t)n * sizeof(words[0]));
	r = check_variable(n, copy, err);
	if (r < 0)
		return r;
	memcpy(words + n, argv + 1, (size_t)(argc - 1) * sizeof(words[0]));
	r = parse_line(&options_cmd, n + argc - 1, words, ret, &call, err);
	if (r == 0) {
		ret->action = from_line.action;
		ret->name = from_line.name;
	}
	return r;
}

int options_parse(int argc, char *argv[], const char *variable, struct options *ret, FILE *err)
{
	cleanup(free_ptr) char **line = NULL;
	struct cmd_call call;
	int r;

	*ret = (struct options){0};
	if (argc > 1 && (!strncmp(argv[1], "--completion", 12) || !strcmp(argv[1], "--dump-options")))
		exit(cmd_main(&options_cmd, argc, argv, ret, 1));
	/* Parsing leaves only the operands in it. */
	line = calloc((size_t)argc + 1, sizeof(line[0]));
	if (!line) {
		fprintf(err, "%s: %s\n", options_cmd.name, strerror(ENOMEM));
		return -ENOMEM;
	}
	memcpy(line, argv, (size_t)argc * sizeof(line[0]));
	r = parse_command_line(argc, argv, ret, &call, err);
	if (r < 0)
		return r;
	if (call.help) {
		ret->action = OPTIONS_HELP;
	} else if (ret->version) {
		ret->action = OPTIONS_VERSION;
	} else if (call.n_operands != 1) {
		ret->action = OPTIONS_HELP;
	} else if (!options_name_valid(call.operands[0])) {
		fprintf(err, "%s: an interface name has 1 to %d characters, no blank, '/' or ':'\n",
			options_cmd.name, OPTIONS_NAME_MAX);
		return -EINVAL;
	} else {
		ret->action = OPTIONS_RUN;
		ret->name = call.operands[0];
		if (variable)
			return parse_both(variable, argc, line, ret, err);
	}
	return 0;
}

void options_usage(const char *program, FILE *out)
{
	cleanup(buf_done) struct buf text = buf_of_max(16384);
	const struct cmd_call call = {.path = {&options_cmd}, .depth = 1};

	cmd_help(&call, &text);
	fputs(buf_str(&text), out);
}

void options_version(FILE *out)
{
	fprintf(out, "ginnel-wg %s\n", GINNEL_VERSION);
}

/* ---- environment ---- */

static enum log_level log_level_named(const char *name, FILE *err)
{
	static const struct {
		const char	*name;
		enum log_level	 level;
	} names[] = {
		{"silent", LOG_LEVEL_SILENT},
		{"error", LOG_LEVEL_ERROR},
		{"info", LOG_LEVEL_INFO},
		{"verbose", LOG_LEVEL_VERBOSE},
		{"debug", LOG_LEVEL_VERBOSE},
	};

	for (size_t i = 0; i < array_size(names); i++)
		if (!strcmp(name, names[i].name))
			return names[i].level;
	fprintf(err, "%s: LOG_LEVEL is none of silent, error, info and verbose: taking error\n",
		options_cmd.name);
	return LOG_LEVEL_ERROR;
}

static uint64_t read_pid(const char *variable)
{
	const char *text = getenv(variable);
	char *end;
	unsigned long v;

	if (!text || *text < '0' || *text > '9')
		return 0;
	errno = 0;
	v = strtoul(text, &end, 10);
	return *end || errno ? 0 : v;
}

static int read_fd(const char *variable, int *ret, FILE *err)
{
	const char *text = getenv(variable), *p;
	long long v = 0;

	*ret = -1;
	if (!text || !*text)
		return 0;
	for (p = text; *p >= '0' && *p <= '9' && v <= INT_MAX; p++)
		v = v * 10 + (*p - '0');
	if (*p || v > INT_MAX) {
		fprintf(err, "%s: %s must be the number of an open descriptor\n", options_cmd.name,
			variable);
		return -EINVAL;
	}
	if (v <= 2) {
		fprintf(err, "%s: %s cannot be standard input, output or error\n", options_cmd.name,
			variable);
		return -EINVAL;
	}
	*ret = (int)v;
	return 0;
}

static int read_key_log(struct environment *ret, FILE *err)
{
	const char *path = getenv("WG_KEYLOGFILE");
	cleanup(free_ptr) char *here = NULL;
	int n;

	if (!path || !*path)
		path = getenv("WGKEYLOGFILE");
	if (!path || !*path)
		return 0;
	/* It is opened in the background, whose directory is another. */
	if (*path != '/')
		here = getcwd(NULL, 0);
	n = snprintf(ret->key_log, sizeof(ret->key_log), "%s%s%s", here ? here : "", here ? "/" : "", path);
	if (n >= 0 && (size_t)n < sizeof(ret->key_log))
		return 0;
	fprintf(err, "%s: WG_KEYLOGFILE: no path is that long\n", options_cmd.name);
	return -EINVAL;
}

int environment_read(struct environment *ret, FILE *err)
{
	const char *level = getenv("LOG_LEVEL"), *foreground = getenv("WG_PROCESS_FOREGROUND");
	int r;

	*ret = (struct environment){.log_level = LOG_LEVEL_ERROR, .tun_fd = -1, .uapi_fd = -1};
	if (level && *level) {
		ret->log_level_set = true;
		ret->log_level = log_level_named(level, err);
	}
	ret->foreground = foreground && !strcmp(foreground, "1");
	ret->main_pid = read_pid("MAINPID");
	r = read_fd("WG_TUN_FD", &ret->tun_fd, err);
	if (!r)
		r = read_fd("WG_UAPI_FD", &ret->uapi_fd, err);
	if (!r && ret->tun_fd >= 0 && ret->tun_fd == ret->uapi_fd) {
		fprintf(err, "%s: WG_TUN_FD and WG_UAPI_FD cannot be the same\n", options_cmd.name);
		r = -EINVAL;
	}
	if (!r)
		r = read_key_log(ret, err);
	unsetenv("WG_PROCESS_FOREGROUND");
	unsetenv("MAINPID");
	unsetenv("WG_TUN_FD");
	unsetenv("WG_UAPI_FD");
	unsetenv("WG_KEYLOGFILE");
	unsetenv("WGKEYLOGFILE");
	unsetenv(OPTIONS_VARIABLE);
	return r;
}
