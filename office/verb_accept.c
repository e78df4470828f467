#include "office/verbs.h"

#include "office/accept.h"
#include "office/load.h"
#include "office/store.h"

#include <errno.h>
#include <stdio.h>

/* What to accept: from who reads it, before the lock is held, however long they take. */
static int gather(const struct cmd_call *call, struct buf *ret)
{
	if (call->n_operands < 2)
		return store_read("-", ret);
	for (int i = 0; i < call->n_operands; i++) {
		buf_puts(ret, i ? " " : "");
		buf_puts(ret, call->operands[i]);
	}
	return ret->error;
}

int verb_accept(const struct cmd_call *call, void *into)
{
	const struct verb_settings *s = into;
	cleanup(buf_done) struct buf text = buf_of_max(OFFICE_TEXT_MAX), said = buf_of_max(4 * OFFICE_TEXT_MAX),
			      errors = buf_of_max(OFFICE_TEXT_MAX);
	cleanup(office_freep) struct office *o = NULL;
	cleanup(close_fd) int held = -1;
	const struct member *from = NULL;
	int r = gather(call, &text);

	if (r < 0) {
		fprintf(stderr, "ginnel-office: cannot read what to accept: %s\n", r == -ENOBUFS ? "more than 4 MiB" : strerror(-r));
		return 1;
	}
	if (!text.len) {
		fprintf(stderr, "ginnel-office: there was nothing to accept\n");
		return 1;
	}
	if (load_hold(s->file, &held) < 0 || load_with_psks(s->file, &o) < 0)
		return 1;
	/* What was pasted as a key may have more lines. */
	if (call->n_operands && !(from = load_member(o, call->operands[0])))
		return 1;
	r = accept_lines(o, call->n_operands > 1 ? "operands" : "standard input", from, (const char *)text.data, text.len,
		&said, &errors);
	fputs(buf_str(&errors), stderr);
	if (r == -ENOMEM)
		fprintf(stderr, "ginnel-office: cannot accept: %s\n", strerror(ENOMEM));
	if (r < 0)
		return 1;
	if (load_pin(s->file, o) < 0)
		return 1;
	return cmd_print(&said);
}
