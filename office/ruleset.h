/*
 * office/ruleset.h - a member's nft table, as text for nft(8).
 *
 * Pure.  One table of ours, "inet ginnel-INTERFACE": TCP's segments to what the tunnel carries, in
 * both directions, the hub's other ports to that of its tunnel, and the node's own address for who comes
 * out of the tunnel where the gateway knows no way back.
 */
#pragma once

#include "office/plan.h"

#define RULESET_FAMILY "inet"
#define RULESET_TABLE "ginnel-"		/* and the interface */
#define RULESET_COMMENT_MAX 32

struct ruleset {
	char		comment[RULESET_COMMENT_MAX];	/* of the table: tells one text from another */
	unsigned	rules;
	unsigned	things;		/* rules, chains and sets */
};

/*
 * ruleset_put(p, interface, ret, ret_of): append the table, or nothing where none is needed: then
 * ${ret_of} has no rules.
 */
void ruleset_put(const struct plan *p, const char *interface, struct buf *ret, struct ruleset *ret_of);
