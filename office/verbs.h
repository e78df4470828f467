/* office/verbs.h - the verbs of ginnel-office, for the table in office/main.c.  Each returns the exit status. */
#pragma once

#include "base/cmd.h"

#include <limits.h>

#define VERB_FILE "office.net"
#define VERB_STATUS_USAGE 2

struct verb_settings {
	char	file[PATH_MAX];
	bool	json, dot, svg;
};

int verb_check(const struct cmd_call *call, void *into);
int verb_plan(const struct cmd_call *call, void *into);
