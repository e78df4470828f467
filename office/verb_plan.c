#include "base/program.h"
#include "base/suggest.h"
#include "office/load.h"
#include "office/show.h"
#include "office/verbs.h"

#include <errno.h>
#include <stdio.h>

#define OUTPUT_MAX ((size_t)1 << 30)

static int refuse(const char *name, const char *what)
{
	fprintf(stderr, "ginnel-office: plan: %s: %s\n", name, what);
	return -EINVAL;
}

static int find_members(const struct cmd_call *call, const struct office *o, const struct member **ret)
{
	for (int i = 0; i < call->n_operands; i++) {
		const char *name = call->operands[i];
		struct suggest near = suggest_for(name, strlen(name));
		cleanup(buf_done) struct buf why = buf_of_max(256);

		ret[i] = office_find(o, name);
		if (ret[i] && ret[i]->kind == MEMBER_HOST)
			return refuse(name, "is a host: nothing is done there");
		if (ret[i])
			continue;
		for (size_t j = 0; j < o->n_by_name; j++)
			suggest_offer(&near, o->by_name[j]->name);
		buf_puts(&why, "there is no such member");
		suggest_say(&near, "", &why);
		return refuse(name, buf_str(&why));
	}
	return 0;
}

/* The drawing by Graphviz, which says itself what it does not like. */
static int draw(const struct buf *text)
{
	char *argv[] = {(char *)"dot", (char *)"-Tsvg", NULL};
	int r = program_run(argv, text, -1, -1, NULL);

	if (r == -ENOENT)
		fprintf(stderr, "ginnel-office: plan: --svg needs the program dot: install the package graphviz, or take --dot there\n");
	else if (r < 0)
		fprintf(stderr, "ginnel-office: plan: cannot run dot: %s\n", strerror(-r));
	return r != 0;
}

int verb_plan(const struct cmd_call *call, void *into)
{
	const struct verb_settings *settings = into;
	cleanup(office_freep) struct office *o = NULL, *lock = NULL;
	cleanup(buf_done) struct buf warnings = buf_of_max((size_t)16 << 20), out = buf_of_max(OUTPUT_MAX);
	cleanup(free_ptr) const struct member **of = calloc((size_t)call->n_operands + 1, sizeof(struct member *));
	char lock_name[LOAD_PATH_MAX];
	struct show show;
	int r;

	if (settings->json + settings->dot + settings->svg > 1) {
		fprintf(stderr, "ginnel-office: plan: of --json, --dot and --svg only one\n");
		return VERB_STATUS_USAGE;
	}
	if (!of || load_lock_path(settings->file, lock_name) < 0 ||
		load_with_lock(settings->file, &o, &lock, &warnings) < 0 || find_members(call, o, of) < 0)
		return 1;
	show = (struct show){.o = o, .lock = lock, .name = settings->file, .lock_name = lock_name,
		.of = call->n_operands ? of : NULL, .n_of = (size_t)call->n_operands};
	if (settings->dot || settings->svg)
		r = show_dot(o, &out);
	else
		r = settings->json ? show_json(&show, &out) : show_words(&show, &out);
	if (r < 0) {
		fprintf(stderr, "ginnel-office: plan: %s\n", strerror(-r));
		return 1;
	}
	return settings->svg ? draw(&out) : cmd_print(&out);
}
