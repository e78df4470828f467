#include "base/enum.h"

#include <errno.h>
#include <strings.h>

#include "base/suggest.h"

#define BLANKS " \t"

ENUM_DEFINE(flags_boundary, FLAGS_BOUNDARY_LIST);

const struct enum_member *enum_member_of(const struct enum_type *type, int64_t value)
{
	enum_each (type, m)
		if (m->value == value)
			return m;
	return NULL;
}

const char *enum_name(const struct enum_type *type, int64_t value)
{
	const struct enum_member *m = enum_member_of(type, value);

	return m ? m->name : NULL;
}

static bool is_name(const char *name, const char *text, size_t len, bool any_case)
{
	if (strlen(name) != len)
		return false;
	return any_case ? !strncasecmp(name, text, len) : !memcmp(name, text, len);
}

static int find(
	const struct enum_type *type, const char *text, size_t len, bool any_case, int64_t *ret)
{
	enum_each (type, m) {
		if (is_name(m->name, text, len, any_case)) {
			*ret = m->value;
			return 0;
		}
	}
	for (size_t i = 0; i < type->n_aliases; i++) {
		if (is_name(type->aliases[i].name, text, len, any_case)) {
			*ret = type->aliases[i].value;
			return 0;
		}
	}
	return -ENOENT;
}

int enum_value(const struct enum_type *type, const char *name, int64_t *ret)
{
	return find(type, name, strlen(name), false, ret);
}

int enum_value_any_case(const struct enum_type *type, const char *name, int64_t *ret)
{
	return enum_value(type, name, ret) ? find(type, name, strlen(name), true, ret) : 0;
}

static void say_unknown(
	const struct enum_type *type, const char *text, size_t len, struct buf *ret)
{
	struct suggest near = suggest_for(text, len);
	const char *comma = "";

	enum_each (type, m)
		suggest_offer(&near, m->name);
	for (size_t i = 0; i < type->n_aliases; i++)
		suggest_offer(&near, type->aliases[i].name);
	buf_printf(ret, "no %s is called \"", type->name);
	buf_put_printable(ret, text, min(len, (size_t)80));
	buf_puts(ret, "\"");
	if (near.best) {
		suggest_say(&near, "", ret);
		return;
	}
	buf_puts(ret, "; there are ");
	enum_each (type, m) {
		buf_printf(ret, "%s%s", comma, m->name);
		comma = ", ";
	}
}

void enum_say_unknown(const struct enum_type *type, const char *name, struct buf *ret)
{
	say_unknown(type, name, strlen(name), ret);
}

/* The least power of two above every bit of ${magnitude}; 0 when that is 2^64. */
static uint64_t power_above(uint64_t magnitude)
{
	uint64_t power = 1;

	while (power && power <= magnitude)
		power <<= 1;
	return power;
}

int flags_check(
	const struct enum_type *type, enum flags_boundary boundary, int64_t value, int64_t *ret)
{
	int64_t all_bits = (int64_t)(power_above((uint64_t)type->mask) - 1);
	uint64_t width = power_above((uint64_t)type->mask);

	if (value < ~all_bits || value > all_bits || (value & (all_bits ^ type->mask))) {
		switch (boundary) {
		case FLAGS_STRICT:
			return -EINVAL;
		case FLAGS_CONFORM:
			*ret = value & type->mask;
			return 0;
		case FLAGS_EJECT:
			*ret = value;
			return 1;
		case FLAGS_KEEP:
			/* As Python: the width of the number without its sign, if that is more. */
			if (value < 0)
				width = max(width, power_above(0 - (uint64_t)value));
			if (value == INT64_MIN || width > (uint64_t)INT64_MAX + 1)
				return -ERANGE;
			break;
		}
	}
	*ret = value < 0 ? (int64_t)(width + (uint64_t)value) : value;
	return 0;
}

int flags_not(
	const struct enum_type *type, enum flags_boundary boundary, int64_t set, int64_t *ret)
{
	return flags_check(type, boundary, boundary == FLAGS_KEEP ? ~set : type->mask ^ set, ret);
}

int flags_format(const struct enum_type *type, int64_t set, struct buf *ret)
{
	const char *bar = "";
	int64_t unknown = set & ~type->mask;

	if (!enum_member_of(type, set)) {
		for (size_t i = 0; i < type->n_aliases; i++)
			if (type->aliases[i].value == set)
				return buf_puts(ret, type->aliases[i].name);
	}
	if (!set)
		return buf_puts(ret, "0");
	flags_each (type, set, m) {
		buf_printf(ret, "%s%s", bar, m->name);
		bar = "|";
	}
	if (unknown)
		buf_printf(ret, "%s0x%llx", bar, (unsigned long long)unknown);
	return ret->error;
}

/* Digits only, or 0x and digits; no sign, no blanks. */
static int number(const char *text, size_t len, int64_t *ret)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t base = 10, n = 0;

	if (len > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		text += 2;
		len -= 2;
	}
	if (!len)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		char c = (char)(text[i] >= 'A' && text[i] <= 'F' ? text[i] | 0x20 : text[i]);
		const char *at = memchr(digits, c, base);

		if (!at)
			return -EINVAL;
		if (n > (INT64_MAX - (uint64_t)(at - digits)) / base)
			return -ERANGE;
		n = n * base + (uint64_t)(at - digits);
	}
	*ret = (int64_t)n;
	return 0;
}

int flags_parse(const struct enum_type *type, enum flags_boundary boundary, const char *text,
	int64_t *ret, struct buf *why)
{
	int64_t set = 0, one = 0;
	int r;

	for (const char *at = text;; at++) {
		size_t len;

		at += strspn(at, BLANKS);
		len = strcspn(at, "|");
		text = at;
		at += len;
		while (len && strchr(BLANKS, text[len - 1]))
			len--;
		if (find(type, text, len, false, &one) && number(text, len, &one)) {
			if (why)
				say_unknown(type, text, len, why);
			return -EINVAL;
		}
		set |= one;
		if (!*at)
			break;
	}
	r = flags_check(type, boundary, set, ret);
	if (r < 0 && why)
		buf_printf(why, "0x%llx has bits that no %s stands for",
			(unsigned long long)(set & ~type->mask), type->name);
	return r;
}
