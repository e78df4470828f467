#include "base/conf.h"

#include <errno.h>
#include <stdio.h>

#include "base/suggest.h"

#define VALUE_MAX 4096
#define CLAUSE_MAX 4096

struct reader {
	const struct conf_row	*rows;
	size_t			 n;
	const char		*file;
	size_t			*seen;	/* per row: the line that set it, 0: none */
	void			*into;	/* NULL: only check */
	struct buf		*errors;
	bool			 bad;
	/* Scratch of full size from the start: what was checked can't fail to be stored. */
	struct buf		 value, why;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void complain(struct reader *r, size_t line, size_t column, const char *what)
{
	r->bad = true;
	buf_printf(r->errors, "%s:%zu:%zu: %s\n", r->file, line, column + 1, what);
}

static const struct conf_row *find_row(
	const struct reader *r, const char *key, size_t len, struct buf *why)
{
	struct suggest near = suggest_for(key, len);

	for (size_t i = 0; i < r->n; i++) {
		if (strlen(r->rows[i].key) == len && !memcmp(r->rows[i].key, key, len))
			return &r->rows[i];
		suggest_offer(&near, r->rows[i].key);
	}
	buf_printf(why, "unknown setting \"%.*s\"", (int)min(len, (size_t)80), key);
	suggest_say(&near, "", why);
	return NULL;
}

/*
 * The value in line[at..len), out of its quotes.  Appends to ${ret}; on an error appends to ${why}
 * and returns where in the line it is, otherwise SIZE_MAX.
 */
static size_t unquote(
	const char *line, size_t at, size_t len, struct buf *ret, struct buf *why)
{
	size_t start = at;

	if (at == len || line[at] != '"') {
		buf_put(ret, line + at, len - at);
		return SIZE_MAX;
	}
	for (at++; at < len && line[at] != '"'; at++) {
		if (line[at] == '\\') {
			at++;
			if (at == len || (line[at] != '"' && line[at] != '\\')) {
				buf_puts(why, "only \\\" and \\\\ are known after a backslash");
				return at - 1;
			}
		}
		buf_put(ret, line + at, 1);
	}
	if (at == len) {
		buf_puts(why, "the closing quote is missing");
		return start;
	}
	if (at + 1 < len) {
		buf_puts(why, "nothing may follow the closing quote");
		return at + 1;
	}
	return SIZE_MAX;
}

static void read_line(struct reader *r, size_t number, const char *line, size_t len)
{
	struct buf *value = &r->value, *why = &r->why;
	const struct conf_row *row;
	size_t key = 0, key_end, at;
	size_t bad_at;

	buf_clear(value);
	buf_clear(why);
	for (size_t i = 0; i < len; i++) {
		if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f) {
			complain(r, number, i, "a control character");
			return;
		}
	}
	while (len && is_blank(line[len - 1]))
		len--;
	while (key < len && is_blank(line[key]))
		key++;
	if (key == len || line[key] == '#')
		return;

	for (key_end = key; key_end < len && !is_blank(line[key_end]) && line[key_end] != '=';)
		key_end++;
	for (at = key_end; at < len && is_blank(line[at]);)
		at++;
	if (key_end == key || at == len || line[at] != '=') {
		complain(r, number, at, "\"key = value\" is expected");
		return;
	}
	for (at++; at < len && is_blank(line[at]);)
		at++;

	row = find_row(r, line + key, key_end - key, why);
	if (!row) {
		complain(r, number, key, buf_str(why));
		return;
	}
	if (r->seen[row - r->rows]) {
		buf_printf(why, "%s was set before, in line %zu", row->key,
			r->seen[row - r->rows]);
		complain(r, number, key, buf_str(why));
		return;
	}
	r->seen[row - r->rows] = number;

	bad_at = unquote(line, at, len, value, why);
	if (bad_at != SIZE_MAX) {
		complain(r, number, bad_at, buf_str(why));
		return;
	}
	if (value->error) {
		complain(r, number, at, "the value is too long");
		return;
	}
	buf_printf(why, "%s: ", row->key);
	if (value_parse(&row->value, buf_str(value), r->into, why))
		complain(r, number, at, why->error ? "the value is wrong" : buf_str(why));
}

static void read_lines(struct reader *r, const char *text, size_t len)
{
	size_t number = 0;

	memset(r->seen, 0, r->n * sizeof(*r->seen));
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;
		size_t crlf = end && n && text[n - 1] == '\r';

		read_line(r, ++number, text, n - crlf);
		n += end != NULL;
		text += n;
		len -= n;
	}
}

static void reader_done(struct reader *r)
{
	free(r->seen);
	buf_done(&r->value);
	buf_done(&r->why);
}

/* An empty buffer that never has to grow, not even for buf_str(). */
static int scratch(struct buf *ret, size_t size)
{
	*ret = buf_of_max(size + 1);
	if (!buf_reserve(ret, size + 1))
		return ret->error;
	ret->max = size;
	return 0;
}

void conf_default(const struct conf_row rows[], size_t n, void *into)
{
	for (size_t i = 0; i < n; i++)
		value_default(&rows[i].value, into);
}

int conf_parse(const struct conf_row rows[], size_t n, const char *file, const char *text,
	size_t len, void *into, struct buf *errors)
{
	cleanup(reader_done) struct reader r = {.rows = rows, .n = n, .file = file, .errors = errors};

	r.seen = calloc(max(n, (size_t)1), sizeof(*r.seen));
	if (!r.seen || scratch(&r.value, VALUE_MAX) || scratch(&r.why, CLAUSE_MAX))
		return -ENOMEM;
	read_lines(&r, text, len);
	if (r.bad)
		return -EINVAL;
	/* It parsed once, so that it will again. */
	r.into = into;
	read_lines(&r, text, len);
	return r.bad ? -EINVAL : 0;
}

int conf_environment(const struct conf_row rows[], size_t n, void *into, struct buf *errors)
{
	bool bad = false;

	for (int store = 0; store < 2 && !bad; store++) {
		for (size_t i = 0; i < n; i++) {
			cleanup(buf_done) struct buf why = buf_of_max(CLAUSE_MAX);
			const char *text = rows[i].environment ? getenv(rows[i].environment) : NULL;

			if (!text || !value_parse(&rows[i].value, text, store ? into : NULL, &why))
				continue;
			bad = true;
			buf_printf(errors, "$%s: %s\n", rows[i].environment, buf_str(&why));
		}
	}
	return bad ? -EINVAL : 0;
}

static void put_quoted(const char *text, struct buf *ret)
{
	buf_puts(ret, "\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_puts(ret, "\\");
		buf_put(ret, text, 1);
	}
	buf_puts(ret, "\"");
}

int conf_dump(const struct conf_row rows[], size_t n, const void *into, struct buf *ret)
{
	for (size_t i = 0; i < n; i++) {
		cleanup(buf_done) struct buf text = buf_of_max(VALUE_MAX);
		cleanup(buf_done) struct buf range = buf_of_max(CLAUSE_MAX);
		const struct conf_row *row = &rows[i];

		value_range(&row->value, &range);
		value_format(&row->value, into, &text);
		if (text.error)
			return text.error;
		buf_printf(ret, "%s# %s%s%s\n%s = ", i ? "\n" : "", row->help,
			range.len ? ": " : "", buf_str(&range), row->key);
		if (row->value.kind == VALUE_TEXT)
			put_quoted(buf_str(&text), ret);
		else
			buf_puts(ret, buf_str(&text));
		buf_puts(ret, "\n");
	}
	return ret->error;
}

int conf_describe(const struct conf_row rows[], size_t n, struct buf *ret)
{
	for (size_t i = 0; i < n; i++) {
		cleanup(buf_done) struct buf range = buf_of_max(CLAUSE_MAX);
		const struct conf_row *row = &rows[i];

		value_range(&row->value, &range);
		buf_printf(ret, "%s\t%s\t%s\t%s\t%s\t%s\n", row->key,
			enum_name(&value_kind_enum, row->value.kind),
			range.len ? buf_str(&range) : "-",
			row->value.fallback ? row->value.fallback : "-",
			row->environment ? row->environment : "-", row->help);
	}
	return ret->error;
}
