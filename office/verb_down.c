#include "office/verbs.h"

#include "base/log.h"
#include "office/up.h"

#include <stdio.h>

int verb_down(const struct cmd_call *call, void *into)
{
	const struct verb_settings *s = into;
	char prefix[64];

	if (!verb_interface(s))
		return 1;
	snprintf(prefix, sizeof(prefix), "ginnel-office(%s)", s->interface);
	log_open(prefix, LOG_LEVEL_INFO);
	return down(s->interface) < 0;
}
