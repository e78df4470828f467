#include "office/words.h"

#include <arpa/inet.h>

static void put_address(const char *word, const struct prefix *p, struct buf *ret)
{
	char text[INET6_ADDRSTRLEN] = "?";

	if (!p->family)
		return;
	inet_ntop(p->family, p->bytes, text, sizeof(text));
	buf_printf(ret, " %s%s%s", word, *word ? " " : "", text);
}

static void put_prefix(const char *word, const struct prefix *p, struct buf *ret)
{
	if (!p->family)
		return;
	buf_printf(ret, " %s%s", word, *word ? " " : "");
	text_put_prefix(p, ret);
}

static void put_key(const char *word, const uint8_t key[KEY_LEN], struct buf *ret)
{
	buf_printf(ret, " %s ", word);
	text_put_key(key, ret);
}

static void put_node(const struct member *m, struct buf *ret)
{
	put_prefix("", &m->lan, ret);
	put_address("address", &m->address, ret);
	put_prefix("alias", &m->alias, ret);
	put_address("at", &m->lan_address, ret);
	put_address("gw", &m->gateway, ret);
	if (m->device[0])
		buf_printf(ret, " if %s", m->device);
	if (m->mode != RETURN_AUTO)
		buf_printf(ret, " return %s", enum_name(&return_mode_enum, m->mode));
	if (m->learnt_mode != RETURN_AUTO)
		buf_printf(ret, " learnt %s", enum_name(&return_mode_enum, m->learnt_mode));
}

static void put_hub(const struct member *m, struct buf *ret)
{
	buf_puts(ret, " ");
	text_put_endpoint(&m->endpoint, ret);
	put_address("address", &m->address, ret);
	for (unsigned i = 0; i < OFFICE_HUB_PORTS_MAX && m->ports[i]; i++)
		buf_printf(ret, "%s%u", i ? "," : " ports ", m->ports[i]);
}

static void put_member(const struct member *m, enum dialect dialect, struct buf *ret)
{
	buf_printf(ret, "%s %s", m->name, enum_name(&member_kind_enum, m->kind));
	switch (m->kind) {
	case MEMBER_HUB:
		put_hub(m, ret);
		break;
	case MEMBER_NODE:
		put_node(m, ret);
		break;
	case MEMBER_HOST:
		buf_printf(ret, " %s", m->node);
		put_address("", &m->host, ret);
		break;
	case MEMBER_PERSON:
		put_address("", &m->address, ret);
		if (m->phone)
			buf_puts(ret, " phone");
		break;
	}
	if (m->engine != ENGINE_GINNEL)
		buf_printf(ret, " engine %s", enum_name(&engine_enum, m->engine));
	if (m->mtu)
		buf_printf(ret, " mtu %u", m->mtu);
	if (m->learnt_mtu)
		buf_printf(ret, " learnt-mtu %u", m->learnt_mtu);
	if (m->given && dialect != DIALECT_BUNDLE)
		buf_printf(ret, " given 0x%llx", (unsigned long long)m->given);
	buf_printf(ret, " id %u", m->id);
	if (m->has_key)
		put_key("key", m->public_key, ret);
	if (m->has_next_key)
		put_key("next-key", m->next_key, ret);
	if (m->psk && dialect == DIALECT_BUNDLE)
		put_key("psk", m->psk, ret);
	buf_puts(ret, m->gone ? " gone\n" : "\n");
}

int office_write(const struct office *o, enum dialect dialect, struct buf *ret)
{
	buf_printf(ret, "version %d", OFFICE_VERSION);
	if (dialect == DIALECT_BUNDLE)
		buf_printf(ret, " for %s " MEMBERS_WORD " %zu\n# What this member needs to know of its office network: ginnel up reads it.\n",
			o->self, o->n_members);
	else
		buf_puts(ret, "\n# What ginnel derived from the file beside this: keep it with that one, and leave it to ginnel.\n");
	buf_puts(ret, "net");
	put_prefix("", &o->net, ret);
	buf_puts(ret, "\naliases");
	put_prefix("", &o->aliases, ret);
	buf_printf(ret, "\nport %u\nmtu %u\n", o->port, o->mtu);
	if (dialect != DIALECT_BUNDLE)
		buf_printf(ret, "%snext %u\n", o->psk ? "psk on\n" : "", o->next_id);
	for (size_t i = 0; i < o->n_members; i++)
		put_member(&o->members[i], dialect, ret);
	return ret->error;
}
