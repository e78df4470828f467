#include "base/value.h"

#include <assert.h>
#include <errno.h>

ENUM_DEFINE(value_kind, VALUE_KIND_LIST);

static const struct {
	const char	*name;
	int64_t		 ms;
} units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

/* Decimal or 0x, with an optional sign; ${*ret_end} is behind the last digit. */
static int read_int(const char *text, int64_t *ret, const char **ret_end)
{
	const char *digits = text + (*text == '-');
	char *end;
	int base = 10;

	if (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X')) {
		base = 16;
		digits += 2;
	}
	/* strtoll() would take blanks, a second sign and a second 0x. */
	if (!*digits || !strchr(base == 16 ? "0123456789abcdefABCDEF" : "0123456789", *digits))
		return -EINVAL;
	errno = 0;
	*ret = strtoll(text, &end, base);
	*ret_end = end;
	return errno ? -ERANGE : 0;
}

static bool fits(int64_t n, size_t size)
{
	return size == 8 || (n >= -(1LL << (8 * size - 1)) && n < 1LL << (8 * size));
}

static void store(const struct value *v, void *into, int64_t n)
{
	uint8_t *at = (uint8_t *)into + v->offset;

	assert(fits(n, v->size));
	if (v->size == 1)
		memcpy(at, &(uint8_t){(uint8_t)n}, 1);
	else if (v->size == 2)
		memcpy(at, &(uint16_t){(uint16_t)n}, 2);
	else if (v->size == 4)
		memcpy(at, &(uint32_t){(uint32_t)n}, 4);
	else
		memcpy(at, &n, 8);
}

/*
 * The field's sign is not known here: it is negative if the range says that it may be, or can't be
 * otherwise.
 */
static int64_t load(const struct value *v, const void *into)
{
	const uint8_t *at = (const uint8_t *)into + v->offset;
	bool is_signed = v->least < 0;
	int64_t n = 0;

	if (v->size == 1) {
		n = is_signed ? (int8_t)*at : *at;
	} else if (v->size == 2) {
		uint16_t u;

		memcpy(&u, at, 2);
		n = is_signed ? (int16_t)u : u;
	} else if (v->size == 4) {
		uint32_t u;

		memcpy(&u, at, 4);
		n = is_signed || v->kind == VALUE_ENUM ? (int32_t)u : (int64_t)u;
	} else {
		memcpy(&n, at, 8);
	}
	return n;
}

static int out_of_range(const struct value *v, struct buf *why)
{
	buf_puts(why, "must be ");
	value_range(v, why);
	return -EINVAL;
}

static int parse_bool(const char *text, int64_t *ret)
{
	static const char *const words[] = {
		"no", "yes", "off", "on", "false", "true", "0", "1"};

	for (size_t i = 0; i < array_size(words); i++) {
		if (!strcmp(text, words[i])) {
			*ret = (int64_t)(i & 1);
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_duration(const char *text, int64_t *ret)
{
	const char *unit;

	if (read_int(text, ret, &unit))
		return -EINVAL;
	if (*ret == 0 && !*unit)
		return 0;
	for (size_t i = 0; i < array_size(units); i++)
		if (!strcmp(unit, units[i].name))
			return __builtin_mul_overflow(*ret, units[i].ms, ret) ? -EINVAL : 0;
	return -EINVAL;
}

static int parse_text(const struct value *v, const char *text, void *into, struct buf *why)
{
	size_t len = strlen(text);

	if (len < (size_t)v->least || len >= v->size) {
		buf_printf(why, "must be %zu to %zu characters long", (size_t)v->least,
			v->size - 1);
		return -EINVAL;
	}
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) {
			buf_puts(why, "must not contain control characters");
			return -EINVAL;
		}
	}
	if (into) {
		memset((char *)into + v->offset, 0, v->size);
		memcpy((char *)into + v->offset, text, len);
	}
	return 0;
}

int value_parse(const struct value *v, const char *text, void *into, struct buf *why)
{
	const char *end = "";
	int64_t n = 0;
	int r = 0;

	switch (v->kind) {
	case VALUE_NONE:
		buf_puts(why, "takes no value");
		return -EINVAL;
	case VALUE_BOOL:
		r = parse_bool(text, &n);
		break;
	case VALUE_INT:
		r = read_int(text, &n, &end);
		/* Where a range without an end would not say what is wrong. */
		if (r == -ERANGE && !*end && n == (n < 0 ? v->least : v->most)) {
			buf_puts(why, n < 0 ? "is too small" : "is too large");
			return -EINVAL;
		}
		if (*end || n < v->least || n > v->most)
			r = -EINVAL;
		break;
	case VALUE_DURATION:
		r = parse_duration(text, &n);
		if (n < v->least || n > v->most)
			r = -EINVAL;
		break;
	case VALUE_TEXT:
		return parse_text(v, text, into, why);
	case VALUE_ENUM:
		if (enum_value_any_case(v->type, text, &n)) {
			enum_say_unknown(v->type, text, why);
			return -EINVAL;
		}
		break;
	case VALUE_FLAGS:
		if (flags_parse(v->type, FLAGS_STRICT, text, &n, why))
			return -EINVAL;
		break;
	}
	if (r)
		return out_of_range(v, why);
	if (into)
		store(v, into, n);
	return 0;
}

static void format_duration(int64_t ms, struct buf *ret)
{
	size_t i = 0;

	while (ms % units[i].ms)
		i++;
	if (ms)
		buf_printf(ret, "%lld%s", (long long)(ms / units[i].ms), units[i].name);
	else
		buf_puts(ret, "0s");
}

int value_format(const struct value *v, const void *into, struct buf *ret)
{
	int64_t n = v->kind == VALUE_TEXT || v->kind == VALUE_NONE ? 0 : load(v, into);
	const char *name;

	switch (v->kind) {
	case VALUE_NONE:
		break;
	case VALUE_BOOL:
		buf_puts(ret, n ? "yes" : "no");
		break;
	case VALUE_INT:
		buf_printf(ret, "%lld", (long long)n);
		break;
	case VALUE_DURATION:
		format_duration(n, ret);
		break;
	case VALUE_TEXT:
		buf_puts(ret, (const char *)into + v->offset);
		break;
	case VALUE_ENUM:
		name = enum_name(v->type, n);
		assert(name);
		buf_puts(ret, name);
		break;
	case VALUE_FLAGS:
		flags_format(v->type, n, ret);
		break;
	}
	return ret->error;
}

void value_default(const struct value *v, void *into)
{
	cleanup(buf_done) struct buf why = buf_of_max(256);
	int r;

	if (v->kind == VALUE_NONE)
		return;
	if (!v->fallback) {
		memset((char *)into + v->offset, 0, v->size);
		return;
	}
	r = value_parse(v, v->fallback, into, &why);
	assert(!r);
}

void value_range(const struct value *v, struct buf *ret)
{
	const char *comma = "";

	switch (v->kind) {
	case VALUE_NONE:
	case VALUE_TEXT:
		break;
	case VALUE_BOOL:
		buf_puts(ret, "yes or no");
		break;
	case VALUE_INT:
		if (v->most == INT64_MAX && v->least == INT64_MIN)
			buf_puts(ret, "a whole number");
		else if (v->most == INT64_MAX)
			buf_printf(ret, "%lld or more", (long long)v->least);
		else
			buf_printf(ret, "%lld..%lld", (long long)v->least, (long long)v->most);
		break;
	case VALUE_DURATION:
		format_duration(v->least, ret);
		if (v->most == INT64_MAX) {
			buf_puts(ret, " or more");
		} else {
			buf_puts(ret, "..");
			format_duration(v->most, ret);
		}
		break;
	case VALUE_ENUM:
	case VALUE_FLAGS:
		enum_each (v->type, m) {
			buf_printf(ret, "%s%s", comma, m->name);
			comma = v->kind == VALUE_FLAGS ? " | " : ", ";
		}
		break;
	}
}
