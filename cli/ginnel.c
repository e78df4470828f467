/*
 * cli/ginnel.c - "ginnel VERB ...": a thin front.  A table maps each verb to a program beside this
 * one, or to a function here.
 */
#include <errno.h>
#include <stdio.h>

#include "base/cmd.h"
#include "base/program.h"
#include "cli/show_enum.h"
#include "cli/stats_verbs.h"

#define OUTPUT_MAX (1 << 20)
#define USAGE_STATUS 2

struct settings {
	bool			 json;
	struct stats_settings	 stats;
};

/* The verbs that are programs of their own. */
static const struct {
	const char *verb, *program;
	bool is_verb_there; /* the program has several, and knows them by this word */
} programs[] = {
	{"accept", "ginnel-office", true},
	{"capture", "ginnel-scope", true},
	{"check", "ginnel-office", true},
	{"conf", "ginnel-conf"},
	{"down", "ginnel-office", true},
	{"export", "ginnel-office", true},
	{"key", "ginnel-office", true},
	{"keylog", "ginnel-scope", true},
	{"lab", "ginnel-lab"},
	{"plan", "ginnel-office", true},
	{"qr", "ginnel-office", true},
	{"rotate", "ginnel-office", true},
	{"status", "ginnel-office", true},
	{"trace", "ginnel-scope", true},
	{"up", "ginnel-office", true},
	{"wg", "ginnel-wg"},
};

/* Words behind the verb are the program's first arguments, and the operands the others. */
static int run_program(const struct cmd_call *call, void *into)
{
	const char *verb = call->path[1]->name, *program = NULL;
	char path[PATH_MAX], **argv;
	unsigned n = 0, first = 2;
	int r;

	for (size_t i = 0; i < array_size(programs); i++)
		if (!strcmp(programs[i].verb, verb)) {
			program = programs[i].program;
			first = programs[i].is_verb_there ? 1 : 2;
		}
	r = program_beside(program, path);
	if (r) {
		fprintf(stderr, "ginnel %s: cannot find %s: %s\n", verb, program, strerror(-r));
		return 1;
	}
	argv = calloc(call->depth + 1 + (unsigned)call->n_operands, sizeof(*argv));
	if (!argv) {
		fprintf(stderr, "ginnel %s: out of memory\n", verb);
		return 1;
	}
	argv[n++] = path;
	for (unsigned i = first; i < call->depth; i++)
		argv[n++] = (char *)call->path[i]->name;
	for (int i = 0; i < call->n_operands; i++)
		argv[n++] = call->operands[i];
	execv(path, argv);
	fprintf(stderr, "ginnel %s: cannot run %s: %s%s\n", verb, path, strerror(errno),
		errno == ENOENT ? "; the programs belong in one directory" : "");
	free(argv);
	return 1;
}

static int enum_list(const struct cmd_call *call, void *into)
{
	const struct settings *s = into;
	cleanup(buf_done) struct buf out = buf_of_max(OUTPUT_MAX);

	show_enum_list(s->json, &out);
	return cmd_print(&out);
}

static int enum_show(const struct cmd_call *call, void *into)
{
	const struct settings *s = into;
	cleanup(buf_done) struct buf out = buf_of_max(OUTPUT_MAX), why = buf_of_max(256);
	const struct enum_type *type = show_enum_find(call->operands[0], &why);

	if (!type) {
		fprintf(stderr, "ginnel enum show: %s\n", buf_str(&why));
		return 1;
	}
	show_enum(type, s->json, &out);
	return cmd_print(&out);
}

static int enum_lock(const struct cmd_call *call, void *into)
{
	cleanup(buf_done) struct buf out = buf_of_max(OUTPUT_MAX);

	show_enum_lock(&out);
	return cmd_print(&out);
}

static int run_stats(const struct cmd_call *call, void *into)
{
	return stats_verb(call, &((struct settings *)into)->stats);
}

static int run_metrics(const struct cmd_call *call, void *into)
{
	return metrics_verb(call, &((struct settings *)into)->stats);
}

static int run_report(const struct cmd_call *call, void *into)
{
	return report_verb(call, &((struct settings *)into)->stats);
}

static int version(const struct cmd_call *call, void *into)
{
	cleanup(buf_done) struct buf out = buf_of_max(256);

	buf_printf(&out, "ginnel %s\n", GINNEL_VERSION);
	return cmd_print(&out);
}

static int help(const struct cmd_call *call, void *into);

static const struct cmd_option json_options[] = {
	{"json", .value = VALUE_BOOL_AT(settings, json), .help = "print JSON"},
};

static const struct cmd_option stats_options[] = {
	{"json", .value = VALUE_BOOL_AT(settings, stats.json), .help = "print JSON"},
	{"watch", .metavar = "SECONDS", .absent = "2",
		.value = VALUE_INT_AT(settings, stats.watch_s, 1, 86400, NULL),
		.help = "print again and again, with rates, every 2 s or so often"},
	{"all", .value = VALUE_BOOL_AT(settings, stats.all),
		.help = "print reasons and events that have not occurred too"},
};

static const struct cmd_option metrics_options[] = {
	{"listen", .metavar = "WHERE", .value = VALUE_TEXT_AT(settings, stats.listen, 1, NULL),
		.help = "serve them by HTTP on unix:PATH, ADDRESS:PORT or [ADDRESS]:PORT instead"},
};

static const struct cmd_option report_options[] = {
	{"hide-addresses", .value = VALUE_BOOL_AT(settings, stats.hide_addresses),
		.help = "leave out where peers are"},
};

static int enum_words(struct buf *ret)
{
	return show_enum_list(false, ret);
}

static int lab_hosts(struct buf *ret)
{
	return buf_puts(ret, "a b");
}

static int lab_faults(struct buf *ret)
{
	return buf_puts(ret, "internet hub nat gateway");
}

static const struct cmd enum_commands[] = {
	{"list", .alias = "ls", .help = "print the names of all enumerations", .run = enum_list,
		CMD_OPTIONS(json_options)},
	{"show", .operands = "NAME", .words = enum_words, .least = 1, .most = 1, .run = enum_show,
		CMD_OPTIONS(json_options),
		.help = "print the values, names and aliases of one enumeration"},
	{"lock", .run = enum_lock, .help = "print TYPE=VALUE=NAME for every member of every type"},
};

static const struct cmd conf_commands[] = {
	{"check", .operands = "NAME", .raw = true, .run = run_program,
		.help = "say what is wrong with a tunnel's file"},
	{"apply", .operands = "NAME", .raw = true, .run = run_program,
		.help = "make the running tunnel what its file says"},
	{"watch", .operands = "NAME", .raw = true, .run = run_program,
		.help = "look up the names of peers again that fall silent"},
	{"down", .operands = "NAME", .raw = true, .run = run_program,
		.help = "take away rules that do not go with the interface"},
};

static const struct cmd lab_commands[] = {
	{"up", .operands = "[FILE] [OPTION...]", .raw = true, .run = run_program,
		.help = "make two hosts a and b with a tunnel, or the office of the file"},
	{"status", .raw = true, .run = run_program,
		.help = "print what is up, and the tunnel's state on each host"},
	{"exec", .operands = "HOST COMMAND [ARGUMENT...]", .words = lab_hosts, .raw = true, .run = run_program,
		.help = "run a command on a host"},
	{"shell", .operands = "HOST", .words = lab_hosts, .raw = true, .run = run_program,
		.help = "run $SHELL there"},
	{"down", .raw = true, .run = run_program,
		.help = "remove all of it, and whatever still runs on the hosts"},
	{"break", .operands = "FAULT [NAME]", .words = lab_faults, .raw = true, .run = run_program,
		.help = "of an office: cut an uplink, kill the hub's daemon, move a NAT, take a gateway's routes"},
	{"mend", .operands = "FAULT [NAME]", .words = lab_faults, .raw = true, .run = run_program,
		.help = "make good what break broke"},
};

static const struct cmd commands[] = {
	{"check", .operands = "[OPTION...]", .raw = true, .run = run_program,
		.help = "say what is wrong with the file of an office network: ginnel-office"},
	{"plan", .operands = "[OPTION...] [NAME...]", .raw = true, .run = run_program,
		.help = "say what each of its members gets, and what changes: ginnel-office"},
	{"key", .operands = "[OPTION...] NAME", .raw = true, .run = run_program,
		.help = "make a member's private key, and print the public one: ginnel-office"},
	{"accept", .operands = "[OPTION...] [NAME [WORD VALUE]]", .raw = true, .run = run_program,
		.help = "take in what members say of themselves: ginnel-office"},
	{"export", .operands = "[OPTION...] NAME [FORM]", .raw = true, .run = run_program,
		.help = "print a member's part, for ginnel up or for other programs: ginnel-office"},
	{"qr", .operands = "[OPTION...] NAME", .raw = true, .run = run_program,
		.help = "make a telephone's key, and show it once as a QR code: ginnel-office"},
	{"rotate", .operands = "[OPTION...] NAME", .raw = true, .run = run_program,
		.help = "make another key beside a member's, to take over: ginnel-office"},
	{"up", .operands = "[OPTION...] [BUNDLE]", .raw = true, .run = run_program,
		.help = "make this machine what its part says: ginnel-office"},
	{"status", .operands = "[OPTION...]", .raw = true, .run = run_program,
		.help = "say whom this member speaks with, since when and how much: ginnel-office"},
	{"down", .operands = "[OPTION...]", .raw = true, .run = run_program,
		.help = "undo what up made: ginnel-office"},
	{"wg", .operands = "[ARGUMENT...]", .raw = true, .run = run_program,
		.help = "run a WireGuard tunnel in user space: ginnel-wg"},
	{"conf", CMD_COMMANDS(conf_commands),
		.help = "configure a tunnel from its file, as wg-quick writes it: ginnel-conf"},
	{"stats", .operands = "[INTERFACE...]", .most = CMD_MOST_ANY, .run = run_stats,
		CMD_OPTIONS(stats_options),
		.help = "print what tunnels do: peers, what was dropped and why, the fast path"},
	{"metrics", .operands = "[INTERFACE...]", .most = CMD_MOST_ANY, .run = run_metrics,
		CMD_OPTIONS(metrics_options),
		.help = "print the same for Prometheus, or serve it"},
	{"report", .operands = "[INTERFACE...]", .most = CMD_MOST_ANY, .run = run_report,
		CMD_OPTIONS(report_options),
		.help = "print what belongs into a report of a fault, without secrets"},
	{"capture", .operands = "[OPTION...] [INTERFACE]", .raw = true, .run = run_program,
		.help = "write what goes through a tunnel as pcapng, for Wireshark: ginnel-scope"},
	{"keylog", .operands = "[OPTION...] FILE [INTERFACE]", .raw = true, .run = run_program,
		.help = "write the keys of handshakes, for a capture of Wireshark's own: ginnel-scope"},
	{"trace", .operands = "[OPTION...] [INTERFACE]", .raw = true, .run = run_program,
		.help = "print what happens in a tunnel, with cause and next step: ginnel-scope"},
	{"lab", CMD_COMMANDS(lab_commands),
		.help = "two hosts with a tunnel, or a whole office, to play and test with: ginnel-lab"},
	{"enum", CMD_COMMANDS(enum_commands),
		.help = "say what the numbers and names in logs and messages mean"},
	{"help", .operands = "[VERB...]", .most = CMD_DEPTH_MAX - 1, .run = help,
		.help = "print how to use ginnel or one of its verbs"},
	{"version", .help = "print the version", .run = version},
};

static const struct cmd root = {
	"ginnel", CMD_COMMANDS(commands),
	.help = "a private network for a team and what lives in it"};

/* "help enum show" is "enum show --help"; a verb that is a program answers for itself. */
static int help(const struct cmd_call *call, void *into)
{
	char *argv[CMD_DEPTH_MAX + 2] = {(char *)"ginnel"};
	int argc = 1;

	for (int i = 0; i < call->n_operands; i++)
		argv[argc++] = call->operands[i];
	argv[argc++] = (char *)"--help";
	return cmd_main(&root, argc, argv, into, USAGE_STATUS);
}

int main(int argc, char **argv)
{
	struct settings settings = {.json = false};

	/* What people try first. */
	if (argc == 2 && !strcmp(argv[1], "--version"))
		argv[1] = (char *)"version";
	return cmd_main(&root, argc, argv, &settings, USAGE_STATUS);
}
