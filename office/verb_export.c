#include "office/verbs.h"

#include "base/suggest.h"
#include "office/export.h"
#include "office/given.h"
#include "office/load.h"
#include "office/ruleset.h"
#include "office/settle.h"
#include "office/store.h"

#include <errno.h>
#include <stdio.h>

#define OUTPUT_MAX (OFFICE_TEXT_MAX * 4)
#define GATEWAY "gateway="

struct call {
	const struct verb_settings	*s;
	const struct office		*o;
	const struct member		*m;
	const char			*kind;	/* behind the form's "=" */
	struct buf			*out, *why;
};

static const struct member *find(const struct office *o, const char *name)
{
	const struct member *m = load_member(o, name);

	if (!m || m->kind != MEMBER_HOST)
		return m;
	fprintf(stderr, "ginnel-office: %s is a host: nothing of ours runs there, so there is nothing to export\n", name);
	return NULL;
}

/* Who has no key is left out of others' parts, and must have one for its own. */
static bool has_keys(const struct office *o, const struct member *self, bool app)
{
	for (const struct member *m = o->members; m < o->members + o->n_members; m++) {
		bool met = self->kind == MEMBER_HUB ? m->kind != MEMBER_HOST : m->kind == MEMBER_HUB;

		if (!m->gone && !m->has_key && met && m != self)
			fprintf(stderr, "ginnel-office: note: %s has no key yet, and %s goes without it until it has\n", m->name,
				self->name);
	}
	if (self->has_key)
		return true;
	if (app) {
		fprintf(stderr, "ginnel-office: %s has no key yet: make an empty tunnel in the application there, and give its public "
			"key, as in: ginnel accept %s key KEY\n", self->name, self->name);
		return false;
	}
	fprintf(stderr,
		"ginnel-office: %s has no key yet: run \"ginnel key %s\" there, and give what it prints to \"ginnel accept\"%s%s\n",
		self->name, self->name, self->phone ? "; or run here \"ginnel qr\" " : "", self->phone ? self->name : "");
	return false;
}

static int put_bundle(const struct call *c)
{
	cleanup(office_freep) struct office *part = NULL;
	int r = settle_part(c->o, c->m, &part);

	return r < 0 ? r : office_write(part, DIALECT_BUNDLE, c->out);
}

static int put_wg_quick(const struct call *c)
{
	cleanup(plan_freep) struct plan *p = NULL;
	int r = plan_make(c->o, c->m, &p);

	return r < 0 ? r : export_wg_quick(p, c->s->interface, c->out, c->why);
}

/* A file of several, behind its name, or in the directory that is asked for. */
static int put_file(const struct call *c, const char *ending, mode_t mode, const struct buf *text)
{
	char path[PATH_MAX];
	int r = text->error;

	if (r < 0)
		return r;
	if (!c->s->into[0]) {
		buf_printf(c->out, "# ---- %s.%s ----\n", c->s->interface, ending);
		return buf_put(c->out, text->data, text->len);
	}
	if (snprintf(path, sizeof(path), "%s/%s.%s", c->s->into, c->s->interface, ending) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	r = store_write(path, mode, text);
	if (r < 0)
		buf_printf(c->why, "cannot write %s: %s", path, strerror(-r));
	return min(r, 0);
}

static int put_networkd(const struct call *c)
{
	cleanup(buf_done) struct buf netdev = buf_of_max(OUTPUT_MAX), network = buf_of_max(OUTPUT_MAX);
	cleanup(plan_freep) struct plan *p = NULL;
	int r = plan_make(c->o, c->m, &p);

	if (r == 0)
		r = export_networkd_netdev(p, c->s->interface, &netdev, c->why);
	if (r == 0)
		r = export_networkd_network(p, c->s->interface, &network);
	if (r == 0)
		r = put_file(c, "netdev", c->o->psk ? 0600 : 0644, &netdev);
	return r < 0 ? r : put_file(c, "network", 0644, &network);
}

static int put_nm(const struct call *c)
{
	cleanup(buf_done) struct buf text = buf_of_max(OUTPUT_MAX);
	cleanup(plan_freep) struct plan *p = NULL;
	int r = plan_make(c->o, c->m, &p);

	if (r == 0)
		r = export_nm(p, c->s->interface, &text, c->why);
	return r < 0 ? r : put_file(c, "nmconnection", 0600, &text);
}

/* Applications set routes by themselves, and nothing else: no metric, no filters. */
static int put_app(const struct call *c)
{
	cleanup(plan_freep) struct plan *p = NULL;
	int r;

	if (c->m->kind != MEMBER_PERSON) {
		buf_printf(c->why, "%s passes packets on, which these applications do not: take another form, or ginnel up there",
			c->m->name);
		return -EINVAL;
	}
	r = plan_make(c->o, c->m, &p);
	if (r == 0)
		export_phone(p, NULL, c->out);
	return r;
}

static int put_nft(const struct call *c)
{
	cleanup(plan_freep) struct plan *p = NULL;
	struct ruleset of;
	int r = plan_make(c->o, c->m, &p);

	if (r == 0)
		ruleset_put(p, c->s->interface, c->out, &of);
	return r;
}

static int put_hosts(const struct call *c)
{
	export_hosts(c->o, c->out);
	return 0;
}

static int put_gateway(const struct call *c)
{
	cleanup(plan_freep) struct plan *p = NULL;
	int64_t kind = 0;
	int r;

	if (enum_value(&gateway_enum, c->kind, &kind) < 0) {
		enum_say_unknown(&gateway_enum, c->kind, c->why);
		return -EINVAL;
	}
	r = plan_make(c->o, c->m, &p);
	return r < 0 ? r : export_gateway(p, (enum gateway)kind, c->out, c->why);
}

static const struct form {
	const char	*name;
	int		(*put)(const struct call *c);
	bool		 needs_keys;
	bool		 is_files;	/* which can be written into a directory */
} forms[] = {
	{"bundle", put_bundle, true},
	{"wg-quick", put_wg_quick, true},
	{"networkd", put_networkd, true, true},
	{"nm", put_nm, true, true},
	{"app", put_app, true},
	{"nft", put_nft},
	{"hosts", put_hosts},
	{GATEWAY, put_gateway},
};

static const struct form *find_form(const char *name)
{
	struct suggest s = suggest_for(name, strlen(name));
	cleanup(buf_done) struct buf why = buf_of_max(1024);

	for (size_t i = 0; i < array_size(forms); i++) {
		size_t len = strlen(forms[i].name);

		if (forms[i].name[len - 1] == '=' ? !strncmp(name, forms[i].name, len) : !strcmp(name, forms[i].name))
			return &forms[i];
		suggest_offer(&s, forms[i].name);
	}
	suggest_say(&s, "", &why);
	fprintf(stderr, "ginnel-office: there is no form %s%s\n", name, buf_str(&why));
	return NULL;
}

int verb_export_words(struct buf *ret)
{
	buf_puts(ret, "bundle wg-quick networkd nm app nft hosts");
	enum_each(&gateway_enum, m)
		buf_printf(ret, " " GATEWAY "%s", m->name);
	return ret->error;
}

/* Once it has left: who reads it may be gone, or the disk full. */
static void note_given(const struct call *c)
{
	struct given given;
	uint64_t number = 0;

	if (given_init(c->o, &given) == 0 && given_number(&given, c->m, &number) == 0 && number != c->m->given)
		load_given(c->s->file, c->m, number);
}

int verb_export(const struct cmd_call *call, void *into)
{
	cleanup(buf_done) struct buf out = buf_of_max(OUTPUT_MAX), why = buf_of_max(1024);
	cleanup(office_freep) struct office *o = NULL;
	cleanup(close_fd) int held = -1;
	const struct form *form = find_form(call->n_operands > 1 ? call->operands[1] : "bundle");
	struct call c = {.s = into, .out = &out, .why = &why};
	int r;

	if (form && c.s->into[0] && !form->is_files) {
		fprintf(stderr, "ginnel-office: the form %s is one text: send the output where you want it, without --into\n",
			form->name);
		return 1;
	}
	if (!form || !verb_interface(c.s) || load_hold(c.s->file, &held) < 0 ||
		(form->needs_keys ? load_with_psks : load_office)(c.s->file, &o) < 0)
		return 1;
	c.o = o;
	c.m = find(o, call->operands[0]);
	c.kind = call->n_operands > 1 ? strchrnul(call->operands[1], '=') : "";
	c.kind += *c.kind != '\0';
	if (!c.m || (form->needs_keys && !has_keys(o, c.m, form->put == put_app)))
		return 1;
	r = form->put(&c);
	r = r ? r : out.error;
	if (r < 0) {
		fprintf(stderr, "ginnel-office: cannot export %s: %s\n", c.m->name, why.len ? buf_str(&why) : strerror(-r));
		return 1;
	}
	/* What leaves this machine stays as it is. */
	if (load_pin(c.s->file, o) < 0)
		return 1;
	/* Who reads it may take its time. */
	close_fd(&held);
	held = -1;
	if (o->psk && form->needs_keys && out.len && isatty(STDOUT_FILENO))
		fprintf(stderr, "ginnel-office: note: this has pre-shared keys, which are secret, and was shown on a terminal\n");
	if (cmd_print(&out))
		return 1;
	if (form->needs_keys)
		note_given(&c);
	return 0;
}
