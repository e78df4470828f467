/*
 * tunnel/handover_give.h - the old daemon's side of a hand-over.
 *
 * Until FREEZE it is a client of the loop like any other: packets, timers and configuration go on.
 * From FREEZE to COMMIT the workers are parked and the control thread does nothing else, for at
 * most HANDOVER_FROZEN_NS; whatever goes wrong then, they go on.
 *
 * Locks: the control thread's.
 */
#pragma once

#include "tunnel/handover.h"
#include "tunnel/loop.h"
#include "tunnel/uapi_server.h"

struct handover_give;

/* What the daemon does for it. */
struct handover_host {
	struct loop		*loop;
	struct wg_device	*device;
	struct uapi_server	*uapi;
	int			 signals_fd;	/* readable: the process is to end */
	struct wg_now		(*now)(void *arg);
	/* Settings and descriptors as they are; the descriptors are borrowed. */
	void			(*describe)(void *arg, struct handover_tunnel *ret);
	/* Numbers that grow with each change of the engine's configuration; of sockets and settings. */
	uint64_t		(*config_changes)(void *arg);
	uint64_t		(*tunnel_changes)(void *arg);
	/* Why that process may not have the tunnel; NULL: it may. */
	const char		*(*objection)(void *arg, pid_t to);
	/* Park the workers, run the device, drain its effects; and the way back. */
	void			(*freeze)(void *arg);
	void			(*thaw)(void *arg);
	/* Another process has the tunnel: end, and leave everything as it is.  0: who is not known. */
	void			(*given)(void *arg, pid_t to);
	void			*arg;
	const char		*identity;	/* of this program and its options, for HANDOVER_ITEM_UNLESS */
};

int handover_give_new(const struct handover_host *host, struct handover_give **ret);
/* NULL is allowed.  A hand-over under way ends. */
void handover_give_free(struct handover_give *g);

/* handover_give_service(g, ret): the row for the control channel. */
struct ctl_service;
void handover_give_service(struct handover_give *g, struct ctl_service *ret);

/* handover_give_due(g): the boot time at which to call handover_give_tick(); UINT64_MAX: none. */
uint64_t handover_give_due(const struct handover_give *g);
void handover_give_tick(struct handover_give *g);
