/*
 * tunnel/ctl_stats.h - answers on the control channel about how the tunnel is doing.
 *
 * Knows the engine's counters and what the daemon tells; never says a private or preshared key.
 *
 * Locks: the control thread's.
 */
#pragma once

#include "tunnel/bind.h"
#include "tunnel/ctl_server.h"
#include "tunnel/events.h"
#include "tunnel/tun.h"

/* What changes while the daemon runs. */
struct ctl_facts {
	bool		up;
	uint16_t	port;
	uint32_t	fwmark;
	struct bind	bind;
};

struct ctl_stats_config {
	struct wg_device	*device;
	const struct tun	*tun;
	struct events		*events;	/* whose peer_removed this takes */
	const char		*name;
	bool			 retain;	/* of the device's configuration */
	void			(*facts)(void *arg, struct ctl_facts *ret);
	void			*arg;
};

struct ctl_stats;

/* ctl_stats_new(config, ret): outlives the server that has its services.  0 or -ENOMEM. */
int ctl_stats_new(const struct ctl_stats_config *config, struct ctl_stats **ret);
void ctl_stats_free(struct ctl_stats *s);

#define CTL_STATS_SERVICES 2

/* ctl_stats_services(s, ret): the rows for the server. */
void ctl_stats_services(struct ctl_stats *s, struct ctl_service ret[CTL_STATS_SERVICES]);
