/*
 * scope/verbs.h - the verbs of ginnel-scope.
 */
#pragma once

#include "base/cmd.h"

#include <limits.h>

struct scope_settings {
	char		 file[PATH_MAX];	/* "": standard output */
	bool		 inner, outer, keys, kernel;
	char		 peer[64];		/* "": all */
	int64_t		 snap;
	int64_t		 count, seconds;	/* 0: no limit */
	char		 rotate[32];		/* "SIZE[:N]", "": never */
	bool		 json, verbose;
	bool		 for_wireshark;		/* it closes the pipe when it has enough, and takes any word for an error */
};

/* Each: the exit status. */
int capture_run(const char *tunnel, const struct scope_settings *s); /* NULL: the only one */
int capture_verb(const struct cmd_call *call, void *settings);
int keylog_verb(const struct cmd_call *call, void *settings);
int trace_verb(const struct cmd_call *call, void *settings);
