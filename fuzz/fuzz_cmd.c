/*
 * A command line, its words ended by zero bytes: for a program with every kind of option and command, and for ginnel-wg.  The words also
 * stand in the environment.
 */
#include "fuzz/fuzz.h"
#include "tunnel/options.h"

#include <errno.h>

#define WORDS_MAX 40

#define MODE_LIST(X)                                                                               \
	X(MODE_FAST, 1, "fast", "")                                                                \
	X(MODE_SLOW, 2, "slow", "")
ENUM_DECLARE(mode, MODE_LIST);
ENUM_DEFINE(mode, MODE_LIST);

#define PARTS_LIST(X)                                                                              \
	X(PARTS_HEAD, 1, "head", "")                                                               \
	X(PARTS_TAIL, 2, "tail", "")
FLAGS_DECLARE(parts, PARTS_LIST);
FLAGS_DEFINE(parts, PARTS_LIST);

struct thing {
	bool		 quick, loud;
	int		 level;
	int64_t		 wait_ms;
	char		 name[9];
	enum mode	 mode;
	uint32_t	 parts;
	unsigned	 each, each_switch;
};

static int each(void *into, const char *text, struct buf *why)
{
	struct thing *t = into;

	MUST(text);
	if (!*text || strlen(text) > 5) {
		buf_puts(why, "must be short");
		return -EINVAL;
	}
	t->each++;
	return 0;
}

static int each_switch(void *into, const char *text, struct buf *why)
{
	MUST(!text);
	((struct thing *)into)->each_switch++;
	return 0;
}

static int run(const struct cmd_call *call, void *into)
{
	abort(); /* parsing runs nothing */
}

static const struct cmd_option root_options[] = {
	{"quick", 'q', .value = VALUE_BOOL_AT(thing, quick), .help = "be quick"},
	{"level", 'l', .alias = "depth", .metavar = "N", .value = VALUE_INT_AT(thing, level, -5, 5, "1"), .help = "how deep"},
	{"mode", .metavar = "MODE", .value = VALUE_ENUM_AT(thing, mode, &mode_enum, "slow"), .help = "how"},
};
static const struct cmd_option list_options[] = {
	{"wait", 'w', .metavar = "TIME", .value = VALUE_DURATION_AT(thing, wait_ms, 0, 3600000, "1s"), .help = "how long"},
	{"name", 'n', .metavar = "NAME", .value = VALUE_TEXT_AT(thing, name, 1, "x"), .help = "who"},
	{"parts", .metavar = "PARTS", .value = VALUE_FLAGS_AT(thing, parts, &parts_enum, "head|tail"), .help = "what"},
	/* Hides the root's. */
	{"quiet", 'q', .value = VALUE_BOOL_AT(thing, loud), .help = "be quiet"},
};
static const struct cmd_option deep_options[] = {
	{"each", 'e', .metavar = "WORD", .each = each, .help = "each"},
	{"count", 'c', .each = each_switch, .help = "count"},
};
static const struct cmd deep_commands[] = {
	{"down", .operands = "A B", .least = 2, .most = 2, .help = "goes down", .run = run, CMD_OPTIONS(deep_options)},
	{"rest", .operands = "ANYTHING", .most = CMD_MOST_ANY, .raw = true, .help = "takes all", .run = run},
};
static const struct cmd commands[] = {
	{"list", .alias = "ls", .operands = "[FILE...]", .most = CMD_MOST_ANY, .help = "lists", .run = run, CMD_OPTIONS(list_options)},
	{"none", .help = "takes none", .run = run},
	{"deep", .help = "goes on", CMD_OPTIONS(deep_options), CMD_COMMANDS(deep_commands)},
};
static const struct cmd root = {"thing", .help = "does things", CMD_OPTIONS(root_options), CMD_COMMANDS(commands)};

struct words {
	char	*text;		/* what all of them lie in */
	size_t	 len;
	char	*argv[WORDS_MAX + 1];
	int	 argc;
};

static struct words words_of(const uint8_t *data, size_t len)
{
	struct words w = {.text = fuzz_text(data, len), .len = len};

	w.argv[w.argc++] = (char *)(uintptr_t)"program";
	for (size_t at = 0; at < len && w.argc < WORDS_MAX; at += strlen(w.text + at) + 1)
		w.argv[w.argc++] = w.text + at;
	return w;
}

static void words_done(struct words *w)
{
	free(w->text);
}

static void check_line(const char *text, size_t len, const char *begin)
{
	MUST(len > strlen(begin) && !strncmp(text, begin, strlen(begin)) && fuzz_printable(text, len));
}

static void check_thing(const struct words *w, const struct cmd_call *call, const struct thing *t)
{
	static const struct thing untouched;
	const struct cmd *c = cmd_called(call);

	MUST(call->path[0] == &root && call->depth >= 1 && call->depth <= CMD_DEPTH_MAX);
	for (unsigned i = 1; i < call->depth; i++)
		MUST(call->path[i] >= call->path[i - 1]->commands &&
			call->path[i] < call->path[i - 1]->commands + call->path[i - 1]->n_commands);
	MUST(call->operands && call->n_operands >= 0 && call->n_operands < w->argc);
	for (int i = 0; i < call->n_operands; i++)
		MUST(call->operands[i] >= w->text && call->operands[i] < w->text + w->len + 1);
	MUST(!call->operands[call->n_operands]);
	if (!call->help && !c->raw)
		MUST(c->run && call->n_operands >= (int)c->least && call->n_operands <= (int)c->most);
	MUST(t->level >= -5 && t->level <= 5 && enum_name(&mode_enum, t->mode));
	MUST(t->wait_ms >= 0 && t->wait_ms <= 3600000 && !(t->parts & ~3u));
	MUST(strnlen(t->name, sizeof(t->name)) < sizeof(t->name) && fuzz_printable(t->name, strlen(t->name)));
	if (call->depth == 1 || call->path[1] != &commands[0])
		MUST(t->wait_ms == untouched.wait_ms && !*t->name && !t->parts && !t->loud);
}

static void check_thing_line(const uint8_t *data, size_t len)
{
	cleanup(words_done) struct words w = words_of(data, len);
	cleanup(buf_done) struct buf why = buf_of_max(1 << 16), help = buf_of_max(1 << 16);
	struct cmd_call call;
	struct thing t = {0};
	int r;

	r = cmd_parse(&root, w.argc, w.argv, &t, &call, &why);
	MUST(!why.error);
	if (r < 0) {
		MUST(r == -EINVAL);
		check_line((char *)why.data, why.len, "thing");
		MUST(why.len < 2000);
		return;
	}
	MUST(r == 0 && !why.len);
	check_thing(&w, &call, &t);
	MUST(cmd_help(&call, &help) == 0 && !strncmp(buf_str(&help), "usage: thing", 12));
}

static void check_options(const uint8_t *data, size_t len)
{
	cleanup(words_done) struct words w = words_of(data, len);
	cleanup(free_ptr) char *said = NULL, *variable = NULL;
	size_t said_len = 0;
	struct options o;
	FILE *err;
	int r;

	/* The second word is also what the variable holds. */
	if (w.argc > 2 && !(variable = strdup(w.argv[2])))
		abort();
	/* These end the process. */
	if (w.argc > 1 && (!strncmp(w.argv[1], "--completion", 12) || !strcmp(w.argv[1], "--dump-options")))
		return;
	err = open_memstream(&said, &said_len);
	if (!err)
		abort();
	r = options_parse(w.argc, w.argv, w.argc > 2 ? variable : NULL, &o, err);
	fclose(err);
	if (r < 0) {
		MUST(r == -EINVAL && said_len && said[said_len - 1] == '\n');
		check_line(said, said_len - 1, "ginnel-wg: ");
		return;
	}
	MUST(r == 0 && !said_len && enum_name(&options_action_enum, o.action));
	MUST((o.action == OPTIONS_RUN) == (o.name != NULL));
	MUST(!(o.without & ~(unsigned)FAST_PATH_ALL) && memchr(o.bind.device, 0, sizeof(o.bind.device)));
	MUST(memchr(o.bind.v6.scope, 0, sizeof(o.bind.v6.scope)) && !o.bind.v4.scope[0]);
	if (o.name) {
		MUST(options_name_valid(o.name) && o.name >= w.text && o.name < w.text + w.len);
		MUST(*o.name && strlen(o.name) <= 15 && fuzz_printable(o.name, strlen(o.name)));
		MUST(!strpbrk(o.name, " /:") && strcmp(o.name, ".") && strcmp(o.name, ".."));
	}
}

/* How many there are, each of them one of ours. */
static unsigned n_lines(const char *text, size_t len)
{
	unsigned n = 0;

	for (size_t at = 0, line; at < len; at += line + 1, n++) {
		const char *end = memchr(text + at, '\n', len - at);

		MUST(end != NULL);
		line = (size_t)(end - (text + at));
		check_line(text + at, line, "ginnel-wg: ");
	}
	return n;
}

static void check_environment(const uint8_t *data, size_t len)
{
	static const char *const names[] = {"LOG_LEVEL", "WG_TUN_FD", "WG_UAPI_FD", "WG_PROCESS_FOREGROUND"};
	cleanup(words_done) struct words w = words_of(data, len);
	cleanup(free_ptr) char *said = NULL;
	size_t said_len = 0;
	struct environment e;
	FILE *err;
	int r;

	for (size_t i = 0; i < array_size(names); i++) {
		unsetenv(names[i]);
		if ((int)i + 1 < w.argc && setenv(names[i], w.argv[i + 1], 1))
			abort();
	}
	err = open_memstream(&said, &said_len);
	if (!err)
		abort();
	r = environment_read(&e, err);
	fclose(err);
	for (size_t i = 1; i < array_size(names); i++)
		MUST(!getenv(names[i]));
	unsetenv(names[0]);
	/* One line for what is wrong, and before it one for an unknown level, with which it goes on. */
	MUST(n_lines(said, said_len) <= (r < 0 ? 2 : 1));
	if (r < 0) {
		MUST(r == -EINVAL && n_lines(said, said_len) >= 1);
		return;
	}
	MUST(r == 0 && enum_name(&log_level_enum, e.log_level));
	MUST(!said_len || e.log_level == LOG_LEVEL_ERROR);
	MUST((e.tun_fd == -1 || e.tun_fd > 2) && (e.uapi_fd == -1 || e.uapi_fd > 2));
	MUST(e.tun_fd == -1 || e.tun_fd != e.uapi_fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	check_thing_line(data, len);
	check_options(data, len);
	check_environment(data, len);
	return 0;
}
