#include "office/verbs.h"

#include "office/office.h"
#include "office/secret.h"

#include <errno.h>
#include <stdio.h>

bool verb_name(const char *name)
{
	size_t len = strlen(name);

	if (len && len <= OFFICE_NAME_MAX &&
		strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len)
		return true;
	fprintf(stderr,
		"ginnel-office: %s: a member's name is of a-z, 0-9 and -, as the office's file has "
		"it\n",
		name);
	return false;
}

int verb_key(const struct cmd_call *call, void *into)
{
	const struct verb_settings *s = into;
	cleanup(buf_done) struct buf out = buf_of_max(256);
	const char *name = call->operands[0];
	uint8_t public[KEY_LEN];
	char path[PATH_MAX];
	int r;

	if (!verb_name(name) || !verb_interface(s))
		return 1;
	r = secret_path(s->interface, path, sizeof(path));
	if (r == 0)
		r = secret_make(path);
	if (r == 0)
		r = secret_load(path, NULL, public);
	if (r < 0) {
		fprintf(stderr, "ginnel-office: cannot %s the key in %s: %s\n", r == -EBADMSG ? "read" : "make", path,
			r == -EBADMSG ? "there is something else in that file" : strerror(-r));
		return 1;
	}
	buf_printf(&out, "%s key ", name);
	text_put_key(public, &out);
	buf_puts(&out, "\n");
	return cmd_print(&out);
}
