#include "office/filter.h"

#include "base/log.h"
#include "base/program.h"
#include "office/chains.h"
#include "office/flows.h"
#include "office/ruleset.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define TEXT_MAX ((size_t)1 << 17)
#define SAID_MAX 1000
#define TRIES 10
#define LEGACY_NAMES "/proc/net/ip_tables_names"
#define PASSING "the rules that let %s through, past the drops of the chain "

static void say_nft_error(const char *what, int r, struct buf *said)
{
	char *newline = strchr((char *)(uintptr_t)buf_str(said), '\n');

	if (newline)
		*newline = '\0';
	if (r == -ENOENT)
		log_error("cannot %s: there is no nft: install nftables", what);
	else if (r < 0)
		log_error("cannot %s: %s", what, strerror(-r));
	else
		log_error("cannot %s: nft: %s", what, said->len ? buf_str(said) : "failed");
}

/* Tried first; then all of it or nothing. */
static int run_nft(const char *what, const struct buf *text)
{
	static const char *const programs[] = {"nft", "/usr/sbin/nft"};
	cleanup(buf_done) struct buf said = buf_of_max(SAID_MAX);
	int r = text->error ? text->error : -ENOENT;

	for (size_t i = 0; i < array_size(programs) && r == -ENOENT; i++) {
		char *check[] = {(char *)(uintptr_t)programs[i], (char *)"-c", (char *)"-f", (char *)"-", NULL};
		char *run[] = {check[0], (char *)"-f", (char *)"-", NULL};

		r = program_run(check, text, -1, -1, &said);
		if (r == 0)
			r = program_run(run, text, -1, -1, &said);
	}
	if (r)
		say_nft_error(what, r, &said);
	return r > 0 ? -EPROTO : r;
}

/* ---- our table ---- */

/* A flow keeps the decision that it began with. */
static void forget_flows(const struct plan *p, struct made *m)
{
	size_t n = 0;
	int r = p->self->kind == MEMBER_NODE && p->n_peers
			? flows_forget(p->peers[0].allowed, p->peers[0].n_allowed, &p->self->lan,
				  p->snat, &n)
			: 0;

	if (r < 0) {
		log_error("cannot have the kernel forget flows into the LAN: %s; those that there are go on as they began",
			strerror(-r));
		return;
	}
	if (n)
		log_info("the kernel has forgotten %zu flow%s into the LAN, whose source was %s", n, n == 1 ? "" : "s",
			p->snat ? "their own" : "this node's");
	m->flows = false;
	(void)made_save(m);
}

/* Whoever ends us between the new table and the end of the flows leaves them to the next. */
static int note_flows(const struct plan *p, struct made *m)
{
	if (!p || p->self->kind != MEMBER_NODE)
		return 0;
	m->flows = true;
	return made_save(m);
}

static bool is_as_wanted(const struct table_state *have, const struct ruleset *want)
{
	return have->rules == want->rules && have->newest <= want->things && !have->stopped && !strcmp(have->comment, want->comment);
}

static int set_table(const struct plan *p, const char *interface, struct made *m, struct audit *a)
{
	cleanup(buf_done) struct buf table = buf_of_max(TEXT_MAX), text = buf_of_max(TEXT_MAX);
	struct ruleset want = {.rules = 0};
	struct table_state have;
	char name[64], what[128];
	int r;

	snprintf(name, sizeof(name), RULESET_TABLE "%s", interface);
	snprintf(what, sizeof(what), "the table " RULESET_FAMILY " %s", name);
	if (p)
		ruleset_put(p, interface, &table, &want);
	for (int i = 0; i == 0 || (r == -EINTR && i < TRIES); i++)
		r = chains_table(name, &have);
	if (r < 0) {
		/* A kernel without nftables has none of ours. */
		if (!want.rules)
			return 0;
		log_error("cannot read the kernel's nftables: %s", strerror(-r));
		return r;
	}
	if (have.there ? is_as_wanted(&have, &want) : !want.rules) {
		if (p && m->flows)
			forget_flows(p, m);
		return 0;
	}
	r = note_flows(p, m);
	if (r < 0)
		return r;
	if (have.there)
		buf_printf(&text, "delete table " RULESET_FAMILY " %s\n", name);
	buf_puts(&text, buf_str(&table));
	r = run_nft(want.rules ? "set the firewall's table" : "remove the firewall's table", &text);
	if (r == 0)
		audit_did(a, what, !want.rules ? NULL : have.there ? "changed" : "missing");
	if (r == 0 && p && m->flows)
		forget_flows(p, m);
	return r;
}

/* ---- chains of others ---- */

/* Names that nft takes as they are. */
static bool is_plain(const char *name)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_",
			  others[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789-.";

	return *name && strchr(first, *name) && strspn(name, others) == strlen(name);
}

static int pass_chain(const struct chain *c, const char *interface, const char *tag, bool on, struct audit *a)
{
	cleanup(buf_done) struct buf text = buf_of_max(TEXT_MAX), what = buf_of_max(1024), rules = buf_of_max(1024);
	int r;

	if (c->n_tagged == (on ? 2 : 0))
		return 0;
	buf_puts(&what, on ? "pass through the chain " : "take our rules out of the chain ");
	buf_printf(&what, "%s %s %s", c->family, c->table, c->name);
	if (!is_plain(c->table) || !is_plain(c->name)) {
		log_error("cannot %s: nft cannot be told its name", buf_str(&what));
		return -EINVAL;
	}
	for (size_t i = 0; i < c->n_tagged; i++)
		buf_printf(&text, "delete rule %s %s %s handle %llu\n", c->family, c->table, c->name,
			(unsigned long long)c->tagged[i]);
	for (int i = 0; on && i < 2; i++)
		buf_printf(&text, "insert rule %s %s %s %s \"%s\" accept comment \"%s\"\n", c->family, c->table,
			c->name, i ? "iifname" : "oifname", interface, tag);
	r = run_nft(buf_str(&what), &text);
	buf_printf(&rules, PASSING "%s %s %s", interface, c->family, c->table, c->name);
	if (r == 0)
		audit_did(a, buf_str(&rules), on ? "missing" : NULL);
	return r;
}

static int pass_chains(const char *interface, const char *tag, bool on, struct audit *a)
{
	cleanup(free_ptr) struct chain *chains = NULL;
	size_t n = 0;
	int r = 0, result = 0;

	for (int i = 0; i == 0 || (r == -EINTR && i < TRIES); i++)
		r = chains_forward(tag, &chains, &n);
	if (r < 0) {
		if (!on)
			return 0;
		log_error("cannot read the kernel's nftables: %s", strerror(-r));
		return r;
	}
	for (size_t i = 0; i < n; i++) {
		r = pass_chain(&chains[i], interface, tag, on && chains[i].drops, a);
		result = result ? result : r;
	}
	return result;
}

/* ---- iptables of the kind that nft does not see ---- */

#define LEGACY "iptables-legacy"

static int legacy(const char *command, const char *side, const char *interface, const char *tag, struct buf *said)
{
	char *argv[] = {(char *)LEGACY, (char *)"-w", (char *)(uintptr_t)command, (char *)"FORWARD",
		(char *)(uintptr_t)side, (char *)(uintptr_t)interface, (char *)"-m", (char *)"comment",
		(char *)"--comment", (char *)(uintptr_t)tag, (char *)"-j", (char *)"ACCEPT", NULL};

	if (!side)
		argv[4] = NULL;
	return program_run(argv, NULL, -1, -1, said);
}

static bool is_legacy_used(void)
{
	cleanup(close_fd) int fd = open(LEGACY_NAMES, O_RDONLY | O_CLOEXEC);
	char names[256] = "";
	ssize_t n = fd < 0 ? -1 : read(fd, names, sizeof(names) - 1);

	return n > 0 && strstr(names, "filter\n");
}

static bool legacy_drops(struct buf *rules)
{
	const char *text = buf_str(rules);

	return strstr(text, "-P FORWARD DROP\n") || strstr(text, "-A FORWARD -j DROP\n") ||
	       strstr(text, "-A FORWARD -j REJECT");
}

static int pass_legacy(const char *interface, const char *tag, bool on, struct audit *a)
{
	static const char *const sides[] = {"-o", "-i"};
	cleanup(buf_done) struct buf rules = buf_of_max(TEXT_MAX);
	char what[128];
	int r, changed = 0;

	if (!is_legacy_used())
		return 0;
	r = legacy("-S", NULL, interface, tag, &rules);
	if (r == -ENOENT && on)
		log_error("iptables of the older kind (" LEGACY_NAMES ") may drop what is forwarded, and there is no "
			LEGACY " to look");
	if (r)
		return on ? r == -ENOENT ? r : -EPROTO : 0;
	on = on && legacy_drops(&rules);
	for (size_t i = 0; i < array_size(sides); i++) {
		cleanup(buf_done) struct buf said = buf_of_max(SAID_MAX);
		bool there = legacy("-C", sides[i], interface, tag, &said) == 0;

		if (there == on)
			continue;
		buf_clear(&said);
		r = legacy(on ? "-I" : "-D", sides[i], interface, tag, &said);
		if (r) {
			log_error("cannot %s the chain FORWARD of " LEGACY ": %s", on ? "pass through" : "take our rules out of",
				said.len ? buf_str(&said) : "it failed");
			return -EPROTO;
		}
		changed = 1;
	}
	snprintf(what, sizeof(what), PASSING "FORWARD of " LEGACY, interface);
	if (changed)
		audit_did(a, what, on ? "missing" : NULL);
	return 0;
}

int filter_set(const struct plan *p, const char *interface, struct made *m, struct audit *a)
{
	bool forward = p && p->forward;
	char tag[64];
	int result = set_table(p, interface, m, a), r;

	snprintf(tag, sizeof(tag), "ginnel %s", interface);
	r = pass_chains(interface, tag, forward, a);
	result = result ? result : r;
	r = pass_legacy(interface, tag, forward, a);
	return result ? result : r;
}
