#include "tunnel/options.h"

#include "base/buf.h"
#include "wg/messages.h"

#include <errno.h>
#include <limits.h>

ENUM_DEFINE(options_action, OPTIONS_ACTION_LIST);

static const struct cmd_option rows[] = {
	{"foreground", 'f', .value = VALUE_BOOL_AT(options, foreground),
		.help = "stay in the foreground and log to standard error"},
	{"workers", .metavar = "N", .value = VALUE_INT_AT(options, workers, 0, WG_WORKERS_MAX, "0"),
		.help = "threads that move packets; 0: one for each processor"},
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
	.more = "Environment: LOG_LEVEL=error|info|verbose|silent, WG_PROCESS_FOREGROUND=1, and the descriptors WG_TUN_FD and WG_UAPI_FD.",
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

int options_parse(int argc, char *argv[], struct options *ret, FILE *err)
{
	cleanup(buf_done) struct buf why = buf_of_max(4096);
	struct cmd_call call;
	int r;

	*ret = (struct options){0};
	if (argc > 1 && (!strncmp(argv[1], "--completion", 12) || !strcmp(argv[1], "--dump-options")))
		exit(cmd_main(&options_cmd, argc, argv, ret, 1));
	r = cmd_parse(&options_cmd, argc, argv, ret, &call, &why);
	if (r < 0) {
		fprintf(err, "%s\n", buf_str(&why));
		return r;
	}
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

static enum log_level log_level_named(const char *name)
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
	return LOG_LEVEL_ERROR;
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

int environment_read(struct environment *ret, FILE *err)
{
	const char *level = getenv("LOG_LEVEL"), *foreground = getenv("WG_PROCESS_FOREGROUND");
	int r;

	*ret = (struct environment){.log_level = LOG_LEVEL_ERROR, .tun_fd = -1, .uapi_fd = -1};
	if (level && *level) {
		ret->log_level_set = true;
		ret->log_level = log_level_named(level);
	}
	ret->foreground = foreground && !strcmp(foreground, "1");
	r = read_fd("WG_TUN_FD", &ret->tun_fd, err);
	if (!r)
		r = read_fd("WG_UAPI_FD", &ret->uapi_fd, err);
	if (!r && ret->tun_fd >= 0 && ret->tun_fd == ret->uapi_fd) {
		fprintf(err, "%s: WG_TUN_FD and WG_UAPI_FD cannot be the same\n", options_cmd.name);
		r = -EINVAL;
	}
	unsetenv("WG_PROCESS_FOREGROUND");
	unsetenv("WG_TUN_FD");
	unsetenv("WG_UAPI_FD");
	return r;
}
