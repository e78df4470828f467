/*
 * base/conf.h - settings as a table, read from a file of "key = value" lines and from the
 * environment.
 *
 * One row gives the key, where the value lives, its kind, range and default, and its help.  A line
 * is empty, a comment ("#" first), or a setting; a value may stand in double quotes, with \" and \\
 * inside them.  All errors of a file are reported at once, each as "FILE:LINE:COLUMN: what is
 * wrong".  Knows no particular setting and opens no file.
 *
 *	static const struct conf_row rows[] = {
 *		{"log-level", VALUE_ENUM_AT(settings, level, &log_level_enum, "error"),
 *			.environment = "LOG_LEVEL", .help = "how much is said"},
 *	};
 */
#pragma once

#include "base/value.h"

struct conf_row {
	const char	*key;
	struct value	 value;
	const char	*environment;	/* variable that overrides the file, or NULL */
	const char	*help;		/* one line without full stop */
};

/* conf_default(rows, n, into): store the default of every row. */
void conf_default(const struct conf_row rows[], size_t n, void *into);

/*
 * conf_parse(rows, n, file, text, len, into, errors):
 * Store what the ${len} bytes of ${text} set; other settings stay as they are.  ${file} stands in
 * front of each error.  0, or -EINVAL with ${into} as it was and a line per error, newline
 * included, appended to ${errors}; -ENOMEM.
 */
int conf_parse(const struct conf_row rows[], size_t n, const char *file, const char *text,
	size_t len, void *into, struct buf *errors);

/*
 * conf_environment(rows, n, into, errors): the same for what environment variables set; "$NAME:
 * what is wrong".
 */
int conf_environment(
	const struct conf_row rows[], size_t n, void *into, struct buf *errors);

/*
 * conf_dump(rows, n, into, ret): append every setting with its help as a comment; conf_parse()
 * reads it back to the same.
 */
int conf_dump(const struct conf_row rows[], size_t n, const void *into, struct buf *ret);

/*
 * conf_describe(rows, n, ret): append every row for tests, fields between tabs: KEY KIND RANGE
 * DEFAULT VARIABLE HELP.
 */
int conf_describe(const struct conf_row rows[], size_t n, struct buf *ret);
