#include "office/load.h"
#include "office/verbs.h"

#include <stdio.h>

int verb_check(const struct cmd_call *call, void *into)
{
	const struct verb_settings *s = into;
	cleanup(office_freep) struct office *o = NULL, *lock = NULL;
	cleanup(buf_done) struct buf warnings = buf_of_max((size_t)16 << 20);

	bool good = load_with_lock(s->file, &o, &lock, &warnings) == 0;

	fputs(buf_str(&warnings), stderr);
	return !good;
}
