#include "cli/show_enum.h"

#include "base/json.h"
#include "base/suggest.h"
#include "cli/types.h"

static void json_row(const char *identifier, const char *name, int64_t value, struct buf *ret)
{
	buf_puts(ret, "{\"name\": ");
	json_put_text(name, ret);
	buf_printf(ret, ", \"value\": %lld, \"identifier\": ", (long long)value);
	json_put_text(identifier, ret);
}

static void json_type(const struct enum_type *type, struct buf *ret)
{
	buf_puts(ret, "{\"type\": ");
	json_put_text(type->name, ret);
	buf_printf(ret, ", \"flags\": %s, \"members\": [", type->is_flags ? "true" : "false");
	for (size_t i = 0; i < type->n_members; i++) {
		buf_puts(ret, i ? ",\n  " : "\n  ");
		json_row(type->members[i].identifier, type->members[i].name, type->members[i].value,
			ret);
		buf_puts(ret, ", \"doc\": ");
		json_put_text(type->members[i].doc, ret);
		buf_puts(ret, "}");
	}
	buf_puts(ret, "], \"aliases\": [");
	for (size_t i = 0; i < type->n_aliases; i++) {
		buf_puts(ret, i ? ",\n  " : "\n  ");
		json_row(type->aliases[i].identifier, type->aliases[i].name, type->aliases[i].value,
			ret);
		buf_puts(ret, "}");
	}
	buf_puts(ret, "]}");
}

static void put_number(const struct enum_type *type, int64_t value, struct buf *ret)
{
	if (type->is_flags)
		buf_printf(ret, "%#10llx", (unsigned long long)value);
	else
		buf_printf(ret, "%10lld", (long long)value);
}

static void text_type(const struct enum_type *type, struct buf *ret)
{
	int width = 0;

	enum_each (type, m)
		width = max(width, (int)strlen(m->name));
	for (size_t i = 0; i < type->n_aliases; i++)
		width = max(width, (int)strlen(type->aliases[i].name));

	enum_each (type, m) {
		put_number(type, m->value, ret);
		if (*m->doc)
			buf_printf(ret, "  %-*s  %s\n", width, m->name, m->doc);
		else
			buf_printf(ret, "  %s\n", m->name);
	}
	for (size_t i = 0; i < type->n_aliases; i++) {
		const struct enum_alias *a = &type->aliases[i];
		const char *of = enum_name(type, a->value);

		put_number(type, a->value, ret);
		buf_printf(ret, "  %-*s  alias%s%s\n", width, a->name, of ? " of " : "",
			of ? of : "");
	}
}

int show_enum_list(bool json, struct buf *ret)
{
	if (json)
		buf_puts(ret, "[");
	for (size_t i = 0; i < cli_n_types; i++) {
		if (json) {
			buf_puts(ret, i ? ",\n " : "");
			json_type(cli_types[i].type, ret);
		} else {
			buf_printf(ret, "%s\n", cli_types[i].type->name);
		}
	}
	if (json)
		buf_puts(ret, "]\n");
	return ret->error;
}

int show_enum(const struct enum_type *type, bool json, struct buf *ret)
{
	if (json) {
		json_type(type, ret);
		buf_puts(ret, "\n");
	} else {
		text_type(type, ret);
	}
	return ret->error;
}

int show_enum_lock(struct buf *ret)
{
	for (size_t i = 0; i < cli_n_types; i++) {
		const struct enum_type *type = cli_types[i].type;

		if (!cli_types[i].is_public)
			continue;
		enum_each (type, m)
			buf_printf(
				ret, "%s=%lld=%s\n", type->name, (long long)m->value, m->name);
		for (size_t a = 0; a < type->n_aliases; a++)
			buf_printf(ret, "%s=%lld=%s alias\n", type->name,
				(long long)type->aliases[a].value, type->aliases[a].name);
	}
	return ret->error;
}

const struct enum_type *show_enum_find(const char *name, struct buf *why)
{
	struct suggest near = suggest_for(name, strlen(name));

	for (size_t i = 0; i < cli_n_types; i++) {
		if (!strcmp(cli_types[i].type->name, name))
			return cli_types[i].type;
		suggest_offer(&near, cli_types[i].type->name);
	}
	buf_puts(why, "no enumeration is called ");
	buf_put_printable(why, name, min(strlen(name), (size_t)80));
	if (near.best)
		suggest_say(&near, "", why);
	else
		buf_puts(why, "; ginnel enum list prints their names");
	return NULL;
}
