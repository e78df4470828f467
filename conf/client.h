/*
 * conf/client.h - asks a daemon through its configuration socket; where none serves the name, the
 * kernel's WireGuard, if the interface is its.
 */
#pragma once

#include "conf/running.h"

/* client_path(name, ret): of the socket of the tunnel ${name}. */
#define CLIENT_PATH_MAX 108
void client_path(const char *name, char ret[CLIENT_PATH_MAX]);

/*
 * client_get(name, ret): what the daemon says of itself.  As running_read(); -ENOENT, -ECONNREFUSED:
 * nobody serves that name; -ETIMEDOUT: it does not answer.
 */
int client_get(const char *name, struct running **ret);

/*
 * client_set(name, request): ${request} is a whole "set=1".  0; the negative error that the daemon
 * reports, or as client_get().
 */
int client_set(const char *name, struct buf *request);
