/*
 * office/made.h - what `up` made or changed on this machine beyond what bears our mark, so that
 * `down` can undo it: /run/ginnel/INTERFACE.made.
 *
 * A thing is written down before it is done: whoever ends the program in between leaves nothing that
 * nobody knows of.
 */
#pragma once

#include "office/audit.h"

#include <limits.h>

struct made_setting {
	char	path[128];		/* below /proc/sys */
	char	before[32], ours[32];
};

struct made {
	char			 path[PATH_MAX];
	bool			 there;		/* the file: something was brought up here */
	bool			 link;		/* the interface */
	unsigned		 ifindex;	/* of it; 0: it was about to be made */
	bool			 flows;		/* there may be some that began under another return mode */
	struct made_setting	*settings;
	size_t			 n_settings, room;
};

/* made_load(interface, ret): with nothing in it where there is no file.  -EBADMSG; other negative errno. */
int made_load(const char *interface, struct made *ret);
void made_done(struct made *m);

/* made_save(m): 0 or negative errno. */
int made_save(const struct made *m);

/* made_forget(m): remove the file. */
int made_forget(struct made *m);

/*
 * made_set(m, path, value, a): a setting below /proc/sys; its value of before is written down, unless it
 * is the same.  0 or negative errno after a line of the log.
 */
int made_set(struct made *m, const char *path, const char *value, struct audit *a);

/* made_restore(m): the settings of before, where ours are still in force. */
int made_restore(struct made *m);
