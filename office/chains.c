#include "office/chains.h"

#include "conf/array.h"
#include "office/netfilter.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#define COMMENT 0 /* type of a comment among user data, of tables and of rules */

static struct nlmsghdr *ask_for(char message[NETFILTER_MESSAGE_MAX], uint16_t type, uint8_t family)
{
	return netfilter_begin(message, NFNL_SUBSYS_NFTABLES, type, NLM_F_DUMP, family);
}

static const char *text_of(const struct nlattr *attr)
{
	return mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) < 0 ? "" : mnl_attr_get_str(attr);
}

static void copy_text(char *ret, size_t size, const char *text)
{
	size_t n = min(strlen(text), size - 1);

	memcpy(ret, text, n);
	ret[n] = '\0';
}

/* The comment among records of type, length and bytes. */
static void read_comment(const struct nlattr *attr, char *ret, size_t size)
{
	const uint8_t *p = mnl_attr_get_payload(attr);
	size_t len = mnl_attr_get_payload_len(attr);

	for (; len >= 2 && len >= 2u + p[1]; len -= 2u + p[1], p += 2u + p[1]) {
		size_t n = min((size_t)p[1], size - 1);

		if (p[0] != COMMENT)
			continue;
		memcpy(ret, p + 2, n);
		ret[n] = '\0';
		return;
	}
}

/* ---- rules ---- */

struct rule {
	const char	*table, *chain;
	uint64_t	 handle;
	char		 comment[128];
	bool		 drops;		/* everything that comes so far */
};

static bool is_drop(const struct nlattr *data)
{
	const struct nlattr *a, *b, *c;

	mnl_attr_for_each_nested(a, data)
	{
		if (mnl_attr_get_type(a) != NFTA_IMMEDIATE_DATA)
			continue;
		mnl_attr_for_each_nested(b, a)
		{
			if (mnl_attr_get_type(b) != NFTA_DATA_VERDICT)
				continue;
			mnl_attr_for_each_nested(c, b)
				if (mnl_attr_get_type(c) == NFTA_VERDICT_CODE)
					return netfilter_be32(c) == NF_DROP;
		}
	}
	return false;
}

/* Nothing but a verdict, and what counts. */
static bool drops_all(const struct nlattr *expressions)
{
	const struct nlattr *e, *a;
	bool drops = false;

	mnl_attr_for_each_nested(e, expressions)
	{
		const struct nlattr *data = NULL;
		const char *name = "";

		mnl_attr_for_each_nested(a, e)
		{
			if (mnl_attr_get_type(a) == NFTA_EXPR_NAME)
				name = text_of(a);
			if (mnl_attr_get_type(a) == NFTA_EXPR_DATA)
				data = a;
		}
		if (!strcmp(name, "counter") || !strcmp(name, "log"))
			continue;
		if (!strcmp(name, "reject") || (!strcmp(name, "immediate") && data && is_drop(data)))
			drops = true;
		else
			return false;
	}
	return drops;
}

static struct rule read_rule(const struct nlmsghdr *nlh)
{
	struct rule r = {.table = "", .chain = ""};
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		switch (mnl_attr_get_type(attr)) {
		case NFTA_RULE_TABLE:
			r.table = text_of(attr);
			break;
		case NFTA_RULE_CHAIN:
			r.chain = text_of(attr);
			break;
		case NFTA_RULE_HANDLE:
			if (mnl_attr_get_payload_len(attr) >= 8)
				r.handle = (uint64_t)get_be32(mnl_attr_get_payload(attr)) << 32 |
					   get_be32((const uint8_t *)mnl_attr_get_payload(attr) + 4);
			break;
		case NFTA_RULE_USERDATA:
			read_comment(attr, r.comment, sizeof(r.comment));
			break;
		case NFTA_RULE_EXPRESSIONS:
			r.drops = drops_all(attr);
			break;
		default:
			break;
		}
	}
	return r;
}

static struct nlmsghdr *ask_for_rules(
	char message[NETFILTER_MESSAGE_MAX], uint8_t family, const char *table, const char *chain)
{
	struct nlmsghdr *nlh = ask_for(message, NFT_MSG_GETRULE, family);

	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, table);
	if (chain)
		mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, chain);
	return nlh;
}

/* ---- a table of ours ---- */

struct table_search {
	const char		*name;
	struct table_state	*ret;
};

static int see_table(const struct nlmsghdr *nlh, void *arg)
{
	const struct table_search *s = arg;
	const struct nlattr *attr, *userdata = NULL;
	bool found = false, dormant = false;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == NFTA_TABLE_NAME)
			found = !strcmp(text_of(attr), s->name);
		if (mnl_attr_get_type(attr) == NFTA_TABLE_USERDATA)
			userdata = attr;
		if (mnl_attr_get_type(attr) == NFTA_TABLE_FLAGS)
			dormant = netfilter_be32(attr) & NFT_TABLE_F_DORMANT;
	}
	if (found) {
		s->ret->there = true;
		s->ret->stopped = dormant;
		if (userdata)
			read_comment(userdata, s->ret->comment, sizeof(s->ret->comment));
	}
	return MNL_CB_OK;
}

static int count_rule(const struct nlmsghdr *nlh, void *arg)
{
	const struct table_search *s = arg;
	struct rule r = read_rule(nlh);

	if (strcmp(r.table, s->name) != 0)
		return MNL_CB_OK;
	s->ret->rules++;
	s->ret->newest = max(s->ret->newest, r.handle);
	return MNL_CB_OK;
}

static int see_policy(const struct nlmsghdr *nlh, void *arg)
{
	const struct table_search *s = arg;
	const struct nlattr *attr;
	bool found = false, drops = false;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == NFTA_CHAIN_TABLE)
			found = !strcmp(text_of(attr), s->name);
		if (mnl_attr_get_type(attr) == NFTA_CHAIN_POLICY)
			drops = netfilter_be32(attr) == NF_DROP;
	}
	s->ret->stopped |= found && drops;
	return MNL_CB_OK;
}

int chains_table(const char *name, struct table_state *ret)
{
	struct table_search s = {.name = name, .ret = ret};
	char message[NETFILTER_MESSAGE_MAX];
	int r;

	*ret = (struct table_state){.there = false};
	r = netfilter_exchange(ask_for(message, NFT_MSG_GETTABLE, NFPROTO_INET), see_table, &s);
	if (r == 0 && ret->there)
		r = netfilter_exchange(ask_for(message, NFT_MSG_GETCHAIN, NFPROTO_INET), see_policy, &s);
	if (r == 0 && ret->there)
		r = netfilter_exchange(ask_for_rules(message, NFPROTO_INET, name, NULL), count_rule, &s);
	return r;
}

/* ---- chains of others ---- */

struct chain_list {
	const char	*family_name;
	struct chain	*chains;
	size_t		 n, room;
	int		 error;
};

static void chain_list_done(struct chain_list *l)
{
	free(l->chains);
}

static int see_chain(const struct nlmsghdr *nlh, void *arg)
{
	struct chain_list *l = arg;
	struct chain c = {.family = l->family_name};
	const struct nlattr *attr, *a;
	bool forward = false, nat = false;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		switch (mnl_attr_get_type(attr)) {
		case NFTA_CHAIN_TABLE:
			copy_text(c.table, sizeof(c.table), text_of(attr));
			break;
		case NFTA_CHAIN_NAME:
			copy_text(c.name, sizeof(c.name), text_of(attr));
			break;
		case NFTA_CHAIN_HOOK:
			mnl_attr_for_each_nested(a, attr)
				if (mnl_attr_get_type(a) == NFTA_HOOK_HOOKNUM)
					forward = netfilter_be32(a) == NF_INET_FORWARD;
			break;
		case NFTA_CHAIN_POLICY:
			c.drops = netfilter_be32(attr) == NF_DROP;
			break;
		case NFTA_CHAIN_TYPE:
			nat = !strcmp(text_of(attr), "nat");
			break;
		default:
			break;
		}
	}
	if (!forward || nat)
		return MNL_CB_OK;
	if (array_grow(&l->chains, &l->room, l->n, sizeof(c)))
		l->chains[l->n++] = c;
	else
		l->error = -ENOMEM;
	return MNL_CB_OK;
}

struct rule_search {
	struct chain	*chain;
	const char	*tag;
};

static int see_rule(const struct nlmsghdr *nlh, void *arg)
{
	const struct rule_search *s = arg;
	struct rule r = read_rule(nlh);

	if (strcmp(r.table, s->chain->table) != 0 || strcmp(r.chain, s->chain->name) != 0)
		return MNL_CB_OK;
	s->chain->drops |= r.drops;
	if (!strcmp(r.comment, s->tag) && s->chain->n_tagged < CHAINS_TAGGED_MAX)
		s->chain->tagged[s->chain->n_tagged++] = r.handle;
	return MNL_CB_OK;
}

int chains_forward(const char *tag, struct chain **ret, size_t *ret_n)
{
	static const struct {
		uint8_t number;
		const char *name;
	} families[] = {{NFPROTO_IPV4, "ip"}, {NFPROTO_INET, "inet"}};
	cleanup(chain_list_done) struct chain_list l = {.n = 0};
	char message[NETFILTER_MESSAGE_MAX];
	int r = 0;

	for (size_t i = 0; i < array_size(families) && r == 0; i++) {
		size_t first = l.n;

		l.family_name = families[i].name;
		r = netfilter_exchange(ask_for(message, NFT_MSG_GETCHAIN, families[i].number), see_chain, &l);
		for (size_t j = first; j < l.n && r == 0; j++) {
			struct rule_search s = {.chain = &l.chains[j], .tag = tag};

			r = netfilter_exchange(ask_for_rules(message, families[i].number, l.chains[j].table,
					 l.chains[j].name),
				see_rule, &s);
		}
	}
	r = r < 0 ? r : l.error;
	if (r < 0)
		return r;
	*ret_n = l.n;
	*ret = steal(l.chains);
	return 0;
}
