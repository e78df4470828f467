/* office/verbs.h - the verbs of ginnel-office, for the table in office/main.c.  Each returns the exit status. */
#pragma once

#include "base/cmd.h"

#include <limits.h>
#include <net/if.h>

#define VERB_FILE "office.net"
#define VERB_INTERFACE "office"
#define VERB_STATUS_USAGE 2
#define VERB_STATUS_LACKING 6	/* what a service manager knows as "not configured" */

struct verb_settings {
	char	file[PATH_MAX];
	char	interface[IFNAMSIZ];
	char	into[PATH_MAX];	/* export: "": standard output */
	bool	json, dot, svg, probe, text, new_key, stay;
	uint32_t watch_s;	/* 0: once */
	uint32_t clock_wait_s;
};

/* verb_interface(s): whether the name can be that of an interface, a table and files; said if not. */
bool verb_interface(const struct verb_settings *s);

/* verb_on_member(s): the same, of a verb that works on a member and says in the log whose interface it is about. */
bool verb_on_member(const struct verb_settings *s);

/* verb_name(name): as the grammar has names; the administrator's side looks more closely.  Said if
 * not. */
bool verb_name(const char *name);

int verb_accept(const struct cmd_call *call, void *into);
int verb_check(const struct cmd_call *call, void *into);
int verb_down(const struct cmd_call *call, void *into);
int verb_export(const struct cmd_call *call, void *into);
int verb_key(const struct cmd_call *call, void *into);
int verb_lab_plan(const struct cmd_call *call, void *into);
int verb_plan(const struct cmd_call *call, void *into);
int verb_qr(const struct cmd_call *call, void *into);
int verb_rotate(const struct cmd_call *call, void *into);
int verb_status(const struct cmd_call *call, void *into);
int verb_up(const struct cmd_call *call, void *into);

/* Forms, for completion. */
int verb_export_words(struct buf *ret);
