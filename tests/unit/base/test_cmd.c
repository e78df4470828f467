#include "base/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/test.h"

#define SIDE_LIST(X) X(SIDE_LEFT, 1, "left", "") X(SIDE_RIGHT, 2, "right", "") X(SIDE_TOP, 4, "top", "")
#define SIDE_ALIASES(X) X(SIDE_BOTH, 3, "both")
FLAGS_DECLARE_ALIASES(side, SIDE_LIST, SIDE_ALIASES);
FLAGS_DEFINE_ALIASES(side, SIDE_LIST, SIDE_ALIASES);

struct opts {
	bool		 verbose, all;
	unsigned	 sides;
	int		 count;
	char		 name[16];
	enum log_level	 level;
	unsigned	 tags;
	char		 last_tag[16];
	int		 pause;
};

static int add_tag(void *into, const char *text, struct buf *why)
{
	struct opts *o = into;

	if (strlen(text) >= sizeof(o->last_tag)) {
		buf_puts(why, "is too long");
		return -EINVAL;
	}
	o->tags++;
	strcpy(o->last_tag, text);
	return 0;
}

static int run(const struct cmd_call *call, void *into)
{
	return 40 + call->n_operands;
}

static const struct cmd_option root_options[] = {
	{"verbose", 'v', .value = VALUE_BOOL_AT(opts, verbose), .help = "say more"},
};
static const struct cmd_option list_options[] = {
	{"all", 'a', .value = VALUE_BOOL_AT(opts, all), .help = "everything"},
	{"count", 'n', .alias = "number", .metavar = "N",
		.value = VALUE_INT_AT(opts, count, 1, 9, "3"), .help = "how many"},
	{"name", .metavar = "NAME", .value = VALUE_TEXT_AT(opts, name, 0, NULL), .help = "which"},
	{"level", 'l', .metavar = "LEVEL", .help = "how much is said",
		.value = VALUE_ENUM_AT(opts, level, &log_level_enum, "error")},
	{"sides", .metavar = "LIST", .value = VALUE_FLAGS_AT(opts, sides, &side_enum, "left"),
		.help = "of what"},
	{"pause", 'p', .metavar = "N", .absent = "2",
		.value = VALUE_INT_AT(opts, pause, 1, 9, NULL), .help = "between two"},
	{"tag", 't', .metavar = "TAG", .each = add_tag, .help = "may be given several times"},
};
static const struct cmd item_commands[] = {
	{"list", .alias = "ls", .operands = "[FILE...]", .most = 3, .run = run, .help = "list them",
		CMD_OPTIONS(list_options)},
	{"remove", .operands = "FILE", .least = 1, .most = 1, .run = run, .help = "remove one"},
};
static int where(struct buf *ret)
{
	return buf_puts(ret, "here\nthere");
}

static const struct cmd commands[] = {
	{"item", CMD_COMMANDS(item_commands), .help = "the items"},
	{"exec", .operands = "[ARGUMENT...]", .words = where, .raw = true, .run = run,
		.help = "another program"},
};
static const struct cmd root = {"thing", .help = "does things", .more = "At length.",
	CMD_OPTIONS(root_options), CMD_COMMANDS(commands)};

static struct opts opts;
static struct cmd_call call;
static char *argv[32], words[1024];

/* Split ${line} at blanks, parse it; the message, or "". */
static const char *parse(const char *line)
{
	static struct buf why = {.max = 500};
	int argc = 0, r;

	memset(&opts, 0x5a, sizeof(opts));
	opts.tags = 0;
	snprintf(words, sizeof(words), "%s", line);
	for (char *w = strtok(words, " "); w; w = strtok(NULL, " "))
		argv[argc++] = w;
	argv[argc] = NULL;
	buf_done(&why);
	r = cmd_parse(&root, argc, argv, &opts, &call, &why);
	CHECK_EQ(r, why.len ? -EINVAL : 0);
	CHECK(r || !call.operands[call.n_operands]);
	return buf_str(&why);
}

static void accepted(void)
{
	CHECK_STR(parse("thing item list"), "");
	CHECK(!opts.all && !opts.verbose && opts.count == 3 && !*opts.name);
	CHECK_EQ(opts.level, LOG_LEVEL_ERROR);
	CHECK_STR(cmd_called(&call)->name, "list");

	CHECK_STR(parse("thing -v item ls -an5 --name=x f1 --level info f2"), "");
	CHECK(opts.all && opts.verbose && opts.count == 5);
	CHECK_STR(opts.name, "x");
	CHECK_EQ(opts.level, LOG_LEVEL_INFO);
	CHECK_EQ(call.n_operands, 2);
	CHECK_STR(call.operands[0], "f1");
	CHECK_STR(call.operands[1], "f2");

	CHECK_STR(parse("thing item list --number 2 -n 7 -v -l silent"), "");
	CHECK_EQ(opts.count, 7);
	CHECK(opts.verbose);
	CHECK_STR(parse("thing item list --name= -tx -t y --tag=z"), "");
	CHECK_STR(opts.name, "");
	CHECK_EQ(opts.tags, 3);
	CHECK_STR(opts.last_tag, "z");
	CHECK_STR(parse("thing item list --name=a=b"), "");
	CHECK_STR(opts.name, "a=b");

	/* An argument that may be left out is never the next word. */
	CHECK_STR(parse("thing item list"), "");
	CHECK_EQ(opts.pause, 0);
	CHECK_STR(parse("thing item list --pause 5"), "");
	CHECK(opts.pause == 2 && call.n_operands == 1);
	CHECK_STR(parse("thing item list --pause=5 -p"), "");
	CHECK(opts.pause == 2 && call.n_operands == 0);
	CHECK_STR(parse("thing item list -ap7"), "");
	CHECK(opts.all && opts.pause == 7);
	CHECK_STR(parse("thing item list -p 7"), "");
	CHECK(opts.pause == 2 && call.n_operands == 1);
	CHECK_STR(parse("thing item list --pause=0"), "thing item list: --pause 0: must be 1..9");
}

static void operands(void)
{
	CHECK_STR(parse("thing item list - -- -a --all"), "");
	CHECK(!opts.all);
	CHECK_EQ(call.n_operands, 3);
	CHECK_STR(call.operands[0], "-");
	CHECK_STR(call.operands[1], "-a");
	CHECK_STR(call.operands[2], "--all");
	CHECK_STR(parse("thing item remove -- --"), "");
	CHECK_STR(call.operands[0], "--");
}

static void raw(void)
{
	CHECK_STR(parse("thing -v exec --help -x -- y"), "");
	CHECK(!call.help && opts.verbose);
	CHECK_EQ(call.n_operands, 4);
	CHECK_STR(call.operands[0], "--help");
	CHECK_STR(call.operands[2], "--");
}

static void refused(void)
{
	static const struct {
		const char *line, *why;
	} rows[] = {
		{"thing", "thing: which command? try --help"},
		{"thing itme", "thing: unknown command itme: did you mean item?"},
		{"thing zzz", "thing: unknown command zzz"},
		{"thing item", "thing item: which command? try --help"},
		{"thing item list --al", "thing item list: unknown option --al"},
		{"thing item list --alll",
			"thing item list: unknown option --alll: did you mean --all?"},
		{"thing item list --cuont=3",
			"thing item list: unknown option --cuont: did you mean --count?"},
		{"thing item list --verbos",
			"thing item list: unknown option --verbos: did you mean --verbose?"},
		{"thing item list -x", "thing item list: unknown option -x"},
		{"thing item list -ax", "thing item list: unknown option -x"},
		{"thing item -a list", "thing item: unknown option -a"},
		{"thing item list --all=yes", "thing item list: --all takes no argument"},
		{"thing item list --count",
			"thing item list: --count needs an argument: --count=N"},
		{"thing item list -an", "thing item list: --count needs an argument: --count=N"},
		{"thing item list --count=0", "thing item list: --count 0: must be 1..9"},
		{"thing item list -n99", "thing item list: --count 99: must be 1..9"},
		{"thing item list -n", "thing item list: --count needs an argument: --count=N"},
		{"thing item list --level=eror", "thing item list: --level eror: no log_level is "
						 "called \"eror\": did you mean error?"},
		{"thing item list -t 1234567890123456",
			"thing item list: --tag 1234567890123456: is too long"},
		{"thing item list a b c d", "thing item list: too many arguments: usage: thing "
					    "item list [OPTION...] [FILE...]"},
		{"thing item remove", "thing item remove: something is missing: usage: thing item "
				      "remove [OPTION...] FILE"},
		{"thing item list --\x1b[2J\n", "thing item list: unknown option --?[2J?"},
		{"thing a\x01z", "thing: unknown command a?z"},
		{"thing item list --=x", "thing item list: unknown option --"},
	};

	for (size_t i = 0; i < array_size(rows); i++)
		CHECK_STR(parse(rows[i].line), rows[i].why);
}

static void helps(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(10000);

	CHECK_STR(parse("thing item list --help --nonsense"), "");
	CHECK(call.help);
	CHECK_STR(parse("thing -h"), "");
	CHECK(call.help);
	CHECK_STR(parse("thing item list -ah"), "");
	CHECK(call.help);
	cmd_help(&call, &b);
	CHECK_STR(buf_str(&b),
		"usage: thing item list [OPTION...] [FILE...]\n"
		"\n"
		"list: list them.\n"
		"\n"
		"options:\n"
		"  -a, --all               everything\n"
		"  -n, --count=N           how many: 1..9 (default 3)\n"
		"      --name=NAME         which\n"
		"  -l, --level=LEVEL       how much is said: silent, error, info, verbose\n"
		"                          (default error)\n"
		"      --sides=LIST        of what: left | right | top (default left)\n"
		"  -p, --pause[=N]         between two: 1..9\n"
		"  -t, --tag=TAG           may be given several times\n"
		"  -v, --verbose           say more\n"
		"  -h, --help              print this text and exit\n");
}

static void dumps(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(10000);

	cmd_dump(&root, &b);
	CHECK(strstr(buf_str(&b), "command\tthing item list\tls\t[FILE...]\tlist them\n"));
	CHECK(strstr(buf_str(&b),
		"option\tthing item list\t--count\t-n\t--number\tN\tint\t1..9\t3\thow many\n"));
	CHECK(strstr(buf_str(&b), "option\tthing\t--verbose\t-v\t-\t-\t-\t-\t-\tsay more\n"));
	CHECK(strstr(buf_str(&b), "option\tthing\t--help\t-h\t"));
	CHECK(!strstr(buf_str(&b), "\t\t"));
}

/* What bash offers for ${line}; the last word is the one being typed. */
static const char *completed(const char *line)
{
	static char out[2000];
	cleanup(buf_done) struct buf script = buf_of_max(20000);
	FILE *p;
	size_t n;

	buf_puts(&script, "bash -c '");
	cmd_completion_bash(&root, &script);
	buf_printf(&script,
		"\nCOMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _thing; echo "
		"\"${COMPREPLY[*]}\"'",
		line);
	p = popen(buf_str(&script), "r");
	CHECK(p);
	n = fread(out, 1, sizeof(out) - 1, p);
	out[n] = '\0';
	CHECK_EQ(pclose(p), 0);
	return out;
}

static void completion(void)
{
	CHECK_STR(completed("thing \"\""),
		"item exec --verbose --help --completion --dump-options\n");
	CHECK_STR(completed("thing it"), "item\n");
	CHECK_STR(completed("thing item ls --n"), "--name\n");
	CHECK_STR(completed("thing item list -v --level = e"), "error\n");
	CHECK_STR(completed("thing item list -l \"\""), "silent error info verbose\n");
	CHECK_STR(completed("thing item list --level ="), "silent error info verbose\n");
	CHECK_STR(completed("thing item list --sides = \"\""), "left right top both\n");
	CHECK_STR(completed("thing item list --sides = left,\"\""),
		"left,left left,right left,top left,both\n");
	CHECK_STR(completed("thing item list --sides top,left,r"), "top,left,right\n");
	CHECK_STR(completed("thing exec --"), "\n");
	CHECK_STR(completed("thing exec \"\""), "here there\n");
	CHECK_STR(completed("thing exec t"), "there\n");
}

static int main_status(const char *line, int usage_status)
{
	int argc = 0;

	snprintf(words, sizeof(words), "%s", line);
	for (char *w = strtok(words, " "); w; w = strtok(NULL, " "))
		argv[argc++] = w;
	argv[argc] = NULL;
	return cmd_main(&root, argc, argv, &opts, usage_status);
}

static void statuses(void)
{
	CHECK_EQ(main_status("thing item remove x", 2), 41);
	CHECK_EQ(main_status("thing exec", 2), 40);
	/* The message goes to standard error; the status is the caller's. */
	CHECK_EQ(main_status("thing nonsense", 2), 2);
	CHECK_EQ(main_status("thing nonsense", 1), 1);
	CHECK_EQ(main_status("thing --completion=zsh", 2), 2);
}

/* A bit for what is wrong, in a process of its own. */
static int without_descriptors(void)
{
	int fd, wrong = 0;

	for (int i = 0; i <= 2; i++)
		close(i);
	(void)main_status("thing item remove x", 2);
	fd = open("/dev/null", O_WRONLY);
	wrong |= fd <= 2;
	for (int i = 1; i <= 2; i++)
		wrong |= (write(i, "x", 1) != -1 || errno != EBADF) << i;
	return wrong;
}

static void closed_descriptors(void)
{
	pid_t child = fork();
	int status = 0;

	if (!child)
		_exit(without_descriptors());
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
}

int main(void)
{
	test_run("options are taken long, short, bundled, by alias, before and behind operands "
		 "[cmd-parse]",
		accepted);
	test_run("a lone dash is an operand, and so is all behind -- [cmd-parse]", operands);
	test_run("what follows the name of another program is left as it is [cmd-raw]", raw);
	test_run("a wrong command line is answered with one line that says what is wrong "
		 "[cmd-errors]",
		refused);
	test_run("--help is made of the rows, wherever it stands [cmd-help]", helps);
	test_run("the dump has every command and option [cmd-dump]", dumps);
	test_run("what is opened never becomes standard input, output or error that were closed [cmd-descriptors]", closed_descriptors);
	test_run("bash completes commands, options and the names of enumerations [cmd-completion]",
		completion);
	test_run("the exit status is that of the command, or the caller's for a wrong command line",
		statuses);
	return test_done();
}
