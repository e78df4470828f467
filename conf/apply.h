/*
 * conf/apply.h - makes a tunnel what its file says: the daemon's configuration, and the
 * interface's addresses, MTU, routes and rules.
 */
#pragma once

#include "conf/endpoints.h"
#include "conf/running.h"

#define APPLY_MTU_DEFAULT 1420
#define APPLY_TABLE_DEFAULT 51820 /* and mark, for a default route through the tunnel */

/*
 * apply(name, file): tell the daemon and the kernel what differs.  What fails is told in the log,
 * and the rest is done all the same; 0, or negative when something has failed.  That endpoints
 * cannot be remembered is told only.
 */
int apply(const char *name, const struct conf_file *file);

/*
 * apply_daemon(name, c, remembered, ret_mark, ret): the daemon's part of it alone.  ${remembered}, which
 * may be NULL, has addresses for peers that have no endpoint, in the file or by themselves, or one by a
 * name that cannot be resolved.  ${ret_mark}: the mark that the daemon had before; ${ret}: what was told.
 * Names are looked up only where the daemon has no address yet or the file has another name.
 */
int apply_daemon(const char *name, const struct conf_file *c, const struct endpoint_rows *remembered,
	uint32_t *ret_mark, struct difference *ret);

/* apply_say(name, c, d): that, as a line of the log. */
void apply_say(const char *name, const struct conf_file *c, const struct difference *d);

/*
 * apply_lock(name): wait until nobody else applies a file to the tunnel, from before the file is
 * read: who comes last has the newest.  What to close when it is done; -1: there can be no lock,
 * which stops nobody.
 */
int apply_lock(const char *name);

/*
 * apply_down(name, file): take away what does not go with the interface.  ${file} may be NULL: the
 * default table then.
 */
int apply_down(const char *name, const struct conf_file *file);
