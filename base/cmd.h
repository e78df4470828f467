/*
 * base/cmd.h - commands and options as tables.
 *
 * One row of an option gives its names, its argument with kind, range and default, and its help.
 * One row of a command gives its name, what follows it, its options and its sub-commands or its
 * function.  From the rows come parsing (GNU style: --long, --long=VALUE, -x, -xVALUE, -abc,
 * options behind operands, "--"), --help, "did you mean", completion for bash, and a dump that
 * tests hold against the manuals.  Knows no program; the caller decides about exit statuses.
 *
 *	static const struct cmd_option list_options[] = {
 *		{"json", 'j', .value = VALUE_BOOL_AT(opts, json), .help = "print JSON"},
 *	};
 *	static const struct cmd commands[] = {
 *		{"list", .help = "what there is", .run = list, CMD_OPTIONS(list_options)},
 *	};
 *	static const struct cmd root = {"thing", .help = "does things", CMD_COMMANDS(commands)};
 *
 * --help and -h belong to every command and need no row.
 */
#pragma once

#include "base/value.h"

#define CMD_DEPTH_MAX 4
#define CMD_MOST_ANY 1000000

struct cmd_option {
	const char	*name;		/* long name without dashes */
	char		 letter;	/* 0: none */
	const char	*alias;		/* another long name, not shown in help; or NULL */
	const char	*metavar;	/* "N" in --workers=N; NULL: the option is a switch */
	const char	*absent;	/* NULL, or the argument that is meant where =N is left out; never the next word */
	struct value	 value;		/* of any kind; without metavar VALUE_BOOL */
	/*
	 * Instead of value, as value_parse(): called each time; text is NULL for a switch.  A kind
	 * and type in value are then for help and completion only.
	 */
	int (*each)(void *into, const char *text, struct buf *why);
	const char	*help;		/* without full stop */
};

struct cmd_call;

struct cmd {
	const char			*name;
	const char			*alias;		/* or NULL */
	const char			*operands;	/* "NAME [FILE...]", for the usage */
	unsigned			 least, most;	/* number of operands */
	const char			*help;		/* without full stop */
	const char			*more;		/* paragraphs for --help, or NULL */
	bool				 raw;		/* all that follows is operands */
	const struct cmd_option		*options;	/* its sub-commands have them too */
	size_t				 n_options;
	const struct cmd		*commands;
	size_t				 n_commands;
	/* Appends what completion offers as an operand, with blanks or newlines between; or NULL. */
	int (*words)(struct buf *ret);
	/* The exit status; NULL: needs a sub-command. */
	int (*run)(const struct cmd_call *call, void *into);
};

#define CMD_OPTIONS(array) .options = (array), .n_options = array_size(array)
#define CMD_COMMANDS(array) .commands = (array), .n_commands = array_size(array)

struct cmd_call {
	const struct cmd	*path[CMD_DEPTH_MAX];	/* root first */
	unsigned		 depth;
	bool			 help;			/* --help: nothing else was checked */
	char			**operands;		/* within argv; NULL behind them */
	int			 n_operands;
};

/* cmd_called(call): the command itself. */
static inline const struct cmd *cmd_called(const struct cmd_call *call)
{
	return call->path[call->depth - 1];
}

/*
 * cmd_parse(root, argc, argv, into, ret, why):
 * Store the defaults of the options on the way to the command, then what was given, into ${into}.
 * 0, or -EINVAL with one line without newline appended to ${why}.  ${argv} is reordered; texts are
 * copied out of it, operands are not.
 */
int cmd_parse(const struct cmd *root, int argc, char **argv, void *into, struct cmd_call *ret,
	struct buf *why);

/* cmd_help(call, ret): append the text of --help for what was called. */
int cmd_help(const struct cmd_call *call, struct buf *ret);

/* cmd_usage(call, ret): append its first line, without "usage: " and newline. */
int cmd_usage(const struct cmd_call *call, struct buf *ret);

/*
 * cmd_dump(root, ret): append every command and option, one a line, fields between tabs:
 *	command PATH ALIAS OPERANDS HELP
 *	option PATH --NAME -X --ALIAS METAVAR KIND RANGE DEFAULT HELP
 * with "-" for what there is not; PATH has blanks between its words.
 */
int cmd_dump(const struct cmd *root, struct buf *ret);

/* cmd_completion_bash(root, ret): append a script for bash to source. */
int cmd_completion_bash(const struct cmd *root, struct buf *ret);

/*
 * cmd_standard_descriptors(): where standard input, output or error are closed something is put there
 * that cannot be written, so that no file or socket of ours gets what is meant for them.
 */
void cmd_standard_descriptors(void);

/*
 * cmd_main(root, argc, argv, into, usage_status):
 * The whole of a main(): parse, run, return the exit status.  Errors are one line on standard error
 * and ${usage_status}; --help, --completion=bash and --dump-options go to standard output and
 * return 0, or 1 when that cannot be written.
 */
int cmd_main(const struct cmd *root, int argc, char **argv, void *into, int usage_status);

/*
 * cmd_print(text): write the buffer to standard output.  0, or 1 after one line on standard error.
 */
int cmd_print(struct buf *text);
