#include "base/cmd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/suggest.h"

#define TEXT_MAX (256 << 10)
#define HELP_COLUMN 26
#define HELP_WIDTH 80

static const struct cmd_option help_option = {
	.name = "help", .letter = 'h', .help = "print this text and exit"};
/* Of the program, not of its commands; cmd_main() looks for them as the first argument. */
static const struct cmd_option completion_option = {
	.name = "completion", .metavar = "SHELL", .help = "print a completion script: bash"};
static const struct cmd_option dump_option = {
	.name = "dump-options", .help = "print every command and option"};

static void put_path(const struct cmd_call *call, struct buf *ret)
{
	for (unsigned i = 0; i < call->depth; i++)
		buf_printf(ret, "%s%s", i ? " " : "", call->path[i]->name);
}

/* What a person typed, as much of it as a message needs. */
static void put_typed(const char *text, size_t len, struct buf *ret)
{
	buf_put_printable(ret, text, min(len, (size_t)80));
}

static bool is_long(const struct cmd_option *o, const char *name, size_t len)
{
	return (strlen(o->name) == len && !memcmp(o->name, name, len)) ||
		(o->alias && strlen(o->alias) == len && !memcmp(o->alias, name, len));
}

static const struct cmd_option *find_long(
	const struct cmd_call *call, const char *name, size_t len, struct buf *why)
{
	struct suggest near = suggest_for(name, len);

	for (unsigned d = call->depth; d-- > 0;) {
		const struct cmd *c = call->path[d];

		for (size_t i = 0; i < c->n_options; i++) {
			if (is_long(&c->options[i], name, len))
				return &c->options[i];
			suggest_offer(&near, c->options[i].name);
			if (c->options[i].alias)
				suggest_offer(&near, c->options[i].alias);
		}
	}
	if (is_long(&help_option, name, len))
		return &help_option;
	suggest_offer(&near, help_option.name);
	buf_puts(why, "unknown option --");
	put_typed(name, len, why);
	suggest_say(&near, "--", why);
	return NULL;
}

static const struct cmd_option *find_letter(
	const struct cmd_call *call, char letter, struct buf *why)
{
	for (unsigned d = call->depth; d-- > 0;) {
		const struct cmd *c = call->path[d];

		for (size_t i = 0; i < c->n_options; i++)
			if (c->options[i].letter == letter)
				return &c->options[i];
	}
	if (letter == help_option.letter)
		return &help_option;
	buf_puts(why, "unknown option -");
	put_typed(&letter, 1, why);
	return NULL;
}

static int set_option(const struct cmd_option *o, const char *text, void *into,
	struct cmd_call *call, struct buf *why)
{
	cleanup(buf_done) struct buf clause = buf_of_max(TEXT_MAX);
	int r;

	if (o == &help_option) {
		call->help = true;
		return 0;
	}
	if (o->each) {
		r = o->each(into, text, &clause);
	} else if (!o->metavar) {
		assert(o->value.kind == VALUE_BOOL);
		r = value_parse(&o->value, "yes", into, &clause);
	} else {
		r = value_parse(&o->value, text, into, &clause);
	}
	if (r) {
		buf_printf(why, "--%s", o->name);
		if (text) {
			buf_puts(why, " ");
			put_typed(text, strlen(text), why);
		}
		buf_puts(why, ": ");
		buf_put_printable(why, clause.data, clause.len);
		return -EINVAL;
	}
	return 0;
}

static int needs_argument(const struct cmd_option *o, struct buf *why)
{
	buf_printf(why, "--%s needs an argument: --%s=%s", o->name, o->name, o->metavar);
	return -EINVAL;
}

/* ${*at} is the argument looked at, and moves when the option's value is the next. */
static int parse_long(
	int argc, char **argv, int *at, void *into, struct cmd_call *call, struct buf *why)
{
	const char *name = argv[*at] + 2;
	size_t len = strcspn(name, "=");
	const char *text = name[len] ? name + len + 1 : NULL;
	const struct cmd_option *o = find_long(call, name, len, why);

	if (!o)
		return -EINVAL;
	if (!o->metavar && text) {
		buf_printf(why, "--%s takes no argument", o->name);
		return -EINVAL;
	}
	if (o->metavar && !text)
		text = o->absent;
	if (o->metavar && !text) {
		if (*at + 1 >= argc)
			return needs_argument(o, why);
		text = argv[++*at];
	}
	return set_option(o, text, into, call, why);
}

static int parse_letters(
	int argc, char **argv, int *at, void *into, struct cmd_call *call, struct buf *why)
{
	for (const char *p = argv[*at] + 1; *p; p++) {
		const struct cmd_option *o = find_letter(call, *p, why);
		const char *text = NULL;
		int r;

		if (!o)
			return -EINVAL;
		if (o->metavar) {
			if (p[1])
				text = p + 1;
			else if (o->absent)
				text = o->absent;
			else if (*at + 1 < argc)
				text = argv[++*at];
			else
				return needs_argument(o, why);
		}
		r = set_option(o, text, into, call, why);
		if (r)
			return r;
		if (text)
			break;
	}
	return 0;
}

static void enter(const struct cmd *c, void *into, struct cmd_call *call)
{
	assert(call->depth < CMD_DEPTH_MAX);
	call->path[call->depth++] = c;
	for (size_t i = 0; i < c->n_options; i++)
		if (!c->options[i].each)
			value_default(&c->options[i].value, into);
}

static const struct cmd *find_command(const struct cmd *c, const char *name, struct buf *why)
{
	struct suggest near = suggest_for(name, strlen(name));

	for (size_t i = 0; i < c->n_commands; i++) {
		const struct cmd *sub = &c->commands[i];

		if (!strcmp(sub->name, name) || (sub->alias && !strcmp(sub->alias, name)))
			return sub;
		suggest_offer(&near, sub->name);
		if (sub->alias)
			suggest_offer(&near, sub->alias);
	}
	buf_puts(why, "unknown command ");
	put_typed(name, strlen(name), why);
	suggest_say(&near, "", why);
	return NULL;
}

static int parse_words(int argc, char **argv, void *into, struct cmd_call *call, struct buf *why)
{
	bool only_operands = false;
	int out = 1;

	call->operands = argv + 1;
	for (int at = 1; at < argc && !call->help; at++) {
		const struct cmd *c = cmd_called(call);
		char *word = argv[at];
		int r = 0;

		if (!only_operands && !c->raw && !strcmp(word, "--")) {
			only_operands = true;
		} else if (!only_operands && !c->raw && !strncmp(word, "--", 2)) {
			r = parse_long(argc, argv, &at, into, call, why);
		} else if (!only_operands && !c->raw && word[0] == '-' && word[1]) {
			r = parse_letters(argc, argv, &at, into, call, why);
		} else if (c->n_commands) {
			c = find_command(c, word, why);
			if (!c)
				return -EINVAL;
			enter(c, into, call);
		} else {
			argv[out++] = word;
			call->n_operands++;
		}
		if (r)
			return r;
	}
	return 0;
}

int cmd_parse(const struct cmd *root, int argc, char **argv, void *into, struct cmd_call *ret,
	struct buf *why)
{
	cleanup(buf_done) struct buf clause = buf_of_max(TEXT_MAX);
	const struct cmd *c;
	int r;

	*ret = (struct cmd_call){.depth = 0};
	enter(root, into, ret);
	r = parse_words(argc, argv, into, ret, &clause);
	/* As argv ended, so do the operands. */
	if (1 + ret->n_operands < argc)
		argv[1 + ret->n_operands] = NULL;
	c = cmd_called(ret);
	if (!r && !ret->help && !c->raw) {
		if (!c->run) {
			buf_puts(&clause, "which command? try --help");
			r = -EINVAL;
		} else if (ret->n_operands < (int)c->least || ret->n_operands > (int)c->most) {
			buf_printf(&clause, "%s: usage: ",
				ret->n_operands < (int)c->least ? "something is missing"
								: "too many arguments");
			cmd_usage(ret, &clause);
			r = -EINVAL;
		}
	}
	if (r) {
		put_path(ret, why);
		buf_printf(why, ": %s", buf_str(&clause));
	}
	return r;
}

int cmd_usage(const struct cmd_call *call, struct buf *ret)
{
	const struct cmd *c = cmd_called(call);

	put_path(call, ret);
	if (!c->raw)
		buf_puts(ret, " [OPTION...]");
	if (c->n_commands)
		buf_puts(ret, c->run ? " [COMMAND ...]" : " COMMAND ...");
	if (c->operands)
		buf_printf(ret, " %s", c->operands);
	return ret->error;
}

/*
 * "  LEFT     text", the text folded at HELP_WIDTH and starting on a line of its own when LEFT is
 * long.
 */
static void put_row(const char *left, const char *text, struct buf *ret)
{
	size_t column = 2 + strlen(left);

	buf_printf(ret, "  %s", left);
	if (column + 2 > HELP_COLUMN) {
		buf_puts(ret, "\n");
		column = 0;
	}
	buf_printf(ret, "%*s", (int)(HELP_COLUMN - column), "");
	column = HELP_COLUMN;
	while (*text) {
		size_t len = strcspn(text, " ");

		if (column > HELP_COLUMN && column + 1 + len > HELP_WIDTH) {
			buf_printf(ret, "\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
		} else if (column > HELP_COLUMN) {
			buf_puts(ret, " ");
			column++;
		}
		buf_put(ret, text, len);
		column += len;
		text += len;
		text += strspn(text, " ");
	}
	buf_puts(ret, "\n");
}

static void put_option_row(const struct cmd_option *o, struct buf *ret)
{
	cleanup(buf_done) struct buf left = buf_of_max(TEXT_MAX), text = buf_of_max(TEXT_MAX);
	cleanup(buf_done) struct buf range = buf_of_max(TEXT_MAX);

	if (o->letter)
		buf_printf(&left, "-%c, ", o->letter);
	else
		buf_puts(&left, "    ");
	buf_printf(&left, "--%s", o->name);
	buf_puts(&text, o->help);
	if (o->metavar) {
		buf_printf(&left, o->absent ? "[=%s]" : "=%s", o->metavar);
		value_range(&o->value, &range);
		if (range.len)
			buf_printf(&text, ": %s", buf_str(&range));
		if (o->value.fallback)
			buf_printf(&text, " (default %s)", o->value.fallback);
	}
	put_row(buf_str(&left), buf_str(&text), ret);
}

int cmd_help(const struct cmd_call *call, struct buf *ret)
{
	const struct cmd *c = cmd_called(call);

	buf_puts(ret, "usage: ");
	cmd_usage(call, ret);
	buf_printf(ret, "\n\n%s: %s.\n", c->name, c->help);
	if (c->more)
		buf_printf(ret, "%s\n", c->more);
	if (c->n_commands) {
		buf_puts(ret, "\ncommands:\n");
		for (size_t i = 0; i < c->n_commands; i++)
			put_row(c->commands[i].name, c->commands[i].help, ret);
	}
	buf_puts(ret, "\noptions:\n");
	for (unsigned d = call->depth; d-- > 0;)
		for (size_t i = 0; i < call->path[d]->n_options; i++)
			put_option_row(&call->path[d]->options[i], ret);
	if (call->depth == 1) {
		put_option_row(&completion_option, ret);
		put_option_row(&dump_option, ret);
	}
	put_option_row(&help_option, ret);
	return ret->error;
}

/* ---- tables for other programs ---- */

static const char *or_dash(const char *s)
{
	return s && *s ? s : "-";
}

static void dump_option_row(const char *path, const struct cmd_option *o, struct buf *ret)
{
	cleanup(buf_done) struct buf range = buf_of_max(TEXT_MAX);
	const char *kind = enum_name(&value_kind_enum, o->value.kind);

	value_range(&o->value, &range);
	buf_printf(ret, "option\t%s\t--%s\t%s\t%s%s\t%s\t%s\t%s\t%s\t%s\n", path, o->name,
		o->letter ? (char[]){'-', o->letter, 0} : "-", o->alias ? "--" : "",
		or_dash(o->alias), or_dash(o->metavar), o->metavar ? kind : "-",
		o->metavar ? or_dash(buf_str(&range)) : "-", or_dash(o->value.fallback), o->help);
}

static void dump(const struct cmd_call *call, struct buf *ret)
{
	cleanup(buf_done) struct buf path = buf_of_max(TEXT_MAX);
	const struct cmd *c = cmd_called(call);

	put_path(call, &path);
	buf_printf(ret, "command\t%s\t%s\t%s\t%s\n", buf_str(&path), or_dash(c->alias),
		or_dash(c->operands), c->help);
	for (size_t i = 0; i < c->n_options; i++)
		dump_option_row(buf_str(&path), &c->options[i], ret);
	for (size_t i = 0; i < c->n_commands; i++) {
		struct cmd_call sub = *call;

		assert(sub.depth < CMD_DEPTH_MAX);
		sub.path[sub.depth++] = &c->commands[i];
		dump(&sub, ret);
	}
}

int cmd_dump(const struct cmd *root, struct buf *ret)
{
	struct cmd_call call = {.path = {root}, .depth = 1};

	dump(&call, ret);
	dump_option_row(root->name, &help_option, ret);
	dump_option_row(root->name, &completion_option, ret);
	dump_option_row(root->name, &dump_option, ret);
	return ret->error;
}

/* case "PATH WORD" in ... : how the words typed so far lead from command to command. */
static void bash_ways(const struct cmd *c, const char *path, struct buf *ret)
{
	for (size_t i = 0; i < c->n_commands; i++) {
		cleanup(buf_done) struct buf sub = buf_of_max(TEXT_MAX);
		const struct cmd *s = &c->commands[i];

		buf_printf(&sub, "%s %s", path, s->name);
		buf_printf(ret, "\t\t\"%s\"", buf_str(&sub));
		if (s->alias)
			buf_printf(ret, " | \"%s %s\"", path, s->alias);
		buf_printf(ret, ") path=\"%s\" ;;\n", buf_str(&sub));
		bash_ways(s, buf_str(&sub), ret);
	}
}

static void bash_option_values(const struct cmd_call *call, struct buf *ret)
{
	for (unsigned d = call->depth; d-- > 0;) {
		for (size_t i = 0; i < call->path[d]->n_options; i++) {
			const struct cmd_option *o = &call->path[d]->options[i];

			if (!o->metavar || o->absent)
				continue;
			buf_printf(ret, "\t\t--%s", o->name);
			if (o->letter)
				buf_printf(ret, " | -%c", o->letter);
			buf_puts(ret, ") words=\"");
			if (o->value.kind == VALUE_ENUM || o->value.kind == VALUE_FLAGS)
				enum_each (o->value.type, m)
					buf_printf(ret, "%s ", m->name);
			if (o->value.kind == VALUE_BOOL)
				buf_puts(ret, "yes no");
			if (o->value.kind == VALUE_FLAGS) {
				for (size_t j = 0; j < o->value.type->n_aliases; j++)
					buf_printf(ret, "%s ", o->value.type->aliases[j].name);
				/* What stands before the last comma is there to stay. */
				buf_puts(ret, "\" list=\"${typed%\"${typed##*,}\"}");
			}
			buf_puts(ret, "\" ;;\n");
		}
	}
}

static void bash_words(const struct cmd_call *call, const char *path, struct buf *ret)
{
	const struct cmd *c = cmd_called(call);

	buf_printf(ret, "\t\"%s\")\n\t\twords=\"", path);
	for (size_t i = 0; i < c->n_commands; i++)
		buf_printf(ret, "%s ", c->commands[i].name);
	if (c->words) {
		c->words(ret);
		buf_puts(ret, " ");
	}
	if (!c->raw) {
		for (unsigned d = call->depth; d-- > 0;)
			for (size_t i = 0; i < call->path[d]->n_options; i++)
				buf_printf(ret, "--%s ", call->path[d]->options[i].name);
		buf_puts(ret, "--help");
	}
	if (call->depth == 1)
		buf_printf(ret, " --%s --%s", completion_option.name, dump_option.name);
	buf_puts(ret, "\"\n\t\tcase \"$before\" in\n");
	bash_option_values(call, ret);
	if (call->depth == 1)
		buf_printf(ret, "\t\t--%s) words=bash ;;\n", completion_option.name);
	buf_puts(ret, "\t\tesac ;;\n");
	for (size_t i = 0; i < c->n_commands; i++) {
		cleanup(buf_done) struct buf sub_path = buf_of_max(TEXT_MAX);
		struct cmd_call sub = *call;

		assert(sub.depth < CMD_DEPTH_MAX);
		sub.path[sub.depth++] = &c->commands[i];
		buf_printf(&sub_path, "%s %s", path, c->commands[i].name);
		bash_words(&sub, buf_str(&sub_path), ret);
	}
}

int cmd_completion_bash(const struct cmd *root, struct buf *ret)
{
	struct cmd_call call = {.path = {root}, .depth = 1};
	cleanup(buf_done) struct buf name = buf_of_max(256);

	/* A function's name has no dash in POSIX mode. */
	for (const char *p = root->name; *p; p++)
		buf_put(&name, *p == '-' ? "_" : p, 1);
	buf_printf(ret,
		"_%s() {\n"
		"\tlocal typed=\"${COMP_WORDS[COMP_CWORD]}\" path=\"\" words=\"\" list=\"\" i\n"
		"\tlocal before=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
		"\t# bash makes words of \"--name=value\" at the sign.\n"
		"\t[ \"$typed\" = = ] && typed=\"\"\n"
		"\t[ \"$before\" = = ] && before=\"${COMP_WORDS[COMP_CWORD-2]}\"\n"
		"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
		"\t\tcase \"$path ${COMP_WORDS[i]}\" in\n",
		buf_str(&name));
	bash_ways(root, "", ret);
	buf_puts(ret, "\t\tesac\n\tdone\n\tcase \"$path\" in\n");
	bash_words(&call, "", ret);
	buf_printf(ret,
		"\tesac\n"
		"\tCOMPREPLY=($(compgen -P \"$list\" -W \"$words\" -- \"${typed#\"$list\"}\"))\n"
		"}\n"
		"complete -o default -F _%s %s\n",
		buf_str(&name), root->name);
	return ret->error;
}

/* ---- main() ---- */

int cmd_print(struct buf *text)
{
	size_t at = 0;

	while (!text->error && at < text->len) {
		ssize_t n = write(STDOUT_FILENO, text->data + at, text->len - at);

		if (n < 0 && errno != EINTR) {
			fprintf(stderr, "cannot write to standard output: %s\n", strerror(errno));
			return 1;
		}
		at += n > 0 ? (size_t)n : 0;
	}
	if (text->error) {
		fprintf(stderr, "cannot print: %s\n", strerror(-text->error));
		return 1;
	}
	return 0;
}

void cmd_standard_descriptors(void)
{
	/* The lowest that is free is this one. */
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDONLY) < 0)
			return;
}

int cmd_main(const struct cmd *root, int argc, char **argv, void *into, int usage_status)
{
	cleanup(buf_done) struct buf text = buf_of_max(TEXT_MAX);
	const char *first = argc > 1 ? argv[1] : "", *second = argc > 2 ? argv[2] : "";
	struct cmd_call call;

	cmd_standard_descriptors();
	if (!strcmp(first, "--completion=bash") ||
		(!strcmp(first, "--completion") && !strcmp(second, "bash"))) {
		cmd_completion_bash(root, &text);
		return cmd_print(&text);
	}
	if (!strncmp(first, "--completion", 12) && (!first[12] || first[12] == '=')) {
		fprintf(stderr, "%s: --completion: there is only bash\n", root->name);
		return usage_status;
	}
	if (!strcmp(first, "--dump-options")) {
		cmd_dump(root, &text);
		return cmd_print(&text);
	}
	if (cmd_parse(root, argc, argv, into, &call, &text)) {
		fprintf(stderr, "%s\n", buf_str(&text));
		return usage_status;
	}
	if (call.help) {
		cmd_help(&call, &text);
		return cmd_print(&text);
	}
	return cmd_called(&call)->run(&call, into);
}
