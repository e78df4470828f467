/*
 * office/chains.h - what the kernel's nftables hold: a table of ours, and others' chains that packets
 * on their way through have to pass.
 *
 * Asks by netlink and changes nothing.  -EINTR: they were changed meanwhile, ask again.
 */
#pragma once

#include "base/util.h"

#define CHAINS_NAME_MAX 256
#define CHAINS_TAGGED_MAX 8

struct table_state {
	bool		there;
	char		comment[128];
	unsigned	rules;
	uint64_t	newest;		/* handle of a rule: they are counted from 1 on in each table, with chains and sets */
	bool		stopped;	/* it does nothing now, or a chain of it drops what passes its rules */
};

/* chains_table(name, ret): of the family inet.  0 or negative errno. */
int chains_table(const char *name, struct table_state *ret);

struct chain {
	const char	*family;	/* as nft calls it: "ip", "inet" */
	char		 table[CHAINS_NAME_MAX], name[CHAINS_NAME_MAX];
	bool		 drops;		/* by policy, or in its end without condition */
	uint64_t	 tagged[CHAINS_TAGGED_MAX];	/* handles of the rules that bear the tag */
	size_t		 n_tagged;
};

/*
 * chains_forward(tag, ret, ret_n): every chain of IPv4 at the forward hook.  ${tag}: the comment of
 * rules that are ours.  0 or negative errno.
 */
int chains_forward(const char *tag, struct chain **ret, size_t *ret_n);
