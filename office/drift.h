/*
 * office/drift.h - hears that somebody has changed the kernel's links, IPv4 addresses, routes, rules and
 * settings, or nftables.  Not what: who hears looks at all of it.
 */
#pragma once

#include "base/util.h"

struct drift {
	int	route, filter;	/* to poll; -1: a kernel without */
};

/* drift_open(ret): 0 or negative errno. */
int drift_open(struct drift *ret);
void drift_close(struct drift *d);

/* drift_heard(fd): take what has come there; whether there was anything. */
bool drift_heard(int fd);
