#include "office/verbs.h"

#include "office/office.h"
#include "office/secret.h"

#include <errno.h>
#include <stdio.h>

static int refuse(const char *verb, const char *path, int r)
{
	fprintf(stderr, "ginnel-office: cannot %s the key in %s: %s\n", verb, path,
		r == -EBADMSG ? "there is something else in that file" : strerror(-r));
	return 1;
}

static void put_line(
	const char *name, const char *word, const uint8_t public[KEY_LEN], struct buf *out)
{
	buf_printf(out, "%s %s ", name, word);
	text_put_key(public, out);
	buf_puts(out, "\n");
}

/*
 * Both lines: the first ends the rotation before this one, if the office was not told yet that it
 * has come to its end.
 */
int verb_rotate(const struct cmd_call *call, void *into)
{
	const struct verb_settings *s = into;
	cleanup(buf_done) struct buf out = buf_of_max(512);
	const char *name = call->operands[0];
	char path[PATH_MAX], next[PATH_MAX];
	uint8_t public[KEY_LEN], next_public[KEY_LEN];
	int r;

	if (!verb_name(name) || !verb_interface(s))
		return 1;
	r = secret_path(s->interface, path, sizeof(path));
	if (r == 0)
		r = secret_next_path(path, next, sizeof(next));
	if (r == 0)
		r = secret_load(path, NULL, public);
	if (r == -ENOENT) {
		fprintf(stderr,
			"ginnel-office: there is no key in %s beside which another could stand: "
			"run \"ginnel key %s\"\n",
			path, name);
		return 1;
	}
	if (r < 0)
		return refuse("read", path, r);
	r = secret_make(next);
	if (r == 0)
		r = secret_load(next, NULL, next_public);
	if (r < 0)
		return refuse(r == -EBADMSG ? "read" : "make", next, r);
	put_line(name, "key", public, &out);
	put_line(name, "next-key", next_public, &out);
	return cmd_print(&out);
}
