/*
 * tunnel/daemon_state.h - the daemon from within, for its own files: daemon.c and, what another daemon
 * takes over or has taken over, daemon_handover.c.
 */
#pragma once

#include "base/clock.h"
#include "tunnel/capture.h"
#include "tunnel/ctl_stats.h"
#include "tunnel/daemon.h"
#include "tunnel/events.h"
#include "tunnel/udp.h"

#include <stdatomic.h>

struct daemon {
	struct tun		*tun;
	int			 uapi_fd, ctl_fd; /* until their servers own them */
	struct loop		*loop;
	struct wg_device	*device;
	struct path		*path;
	struct udp		*udp;		/* NULL: down, or the port could not be bound */
	struct uapi		*uapi;
	struct uapi_server	*server;
	struct events		 events;
	struct key_file		*key_file;
	struct ctl_stats	*stats;
	struct capture		*capture;
	struct ctl_service	 services[CTL_STATS_SERVICES + 2];
	struct ctl_server	*ctl;		/* NULL: no control channel */
	struct handover_give	*give;
	struct handover_take	*take;		/* until it is ours */
	int			 process_fd;	/* a pidfd of our own, or -1 */
	bool			 frozen;	/* the workers are parked, for another daemon to take over */
	bool			 foreign;	/* another daemon has files and interface */
	uint64_t		 config_changes, tunnel_changes;
	struct link		*link;
	struct loop_source	 wake;		/* from workers and the device */
	struct loop_source	 signals;
	_Atomic bool		 tun_gone;	/* set by any worker */
	bool			 stop;
	int			 result;
	bool			 link_up;
	uint16_t		 port;		/* as configured or chosen; 0: choose */
	uint32_t		 fwmark;
	unsigned		 workers;
	unsigned		 without;	/* FAST_PATH_... */
	bool			 retain;
	struct bind		 bind;
	uint64_t		 bind_retry_ns;	/* UINT64_MAX: not waiting */
	int			 bind_error;	/* the one that was told; 0: none */
	uint64_t		 deadline_ns;
	uint64_t		 yield_ns;	/* not before then */
	const char		*name;
	const char		*identity;
	const struct notify	*notify;
};

static inline struct wg_now daemon_now(void)
{
	return (struct wg_now){
		.boot_ns = clock_ns(CLOCK_BOOTTIME), .real_ns = clock_ns(CLOCK_REALTIME)};
}

/* daemon_run_device(d): what is due in the device, and what it wants to be sent. */
void daemon_run_device(struct daemon *d);

/* daemon_udp_config(d, port): of sockets as they are to be now. */
struct udp_config daemon_udp_config(const struct daemon *d, uint16_t port);

/* daemon_link_went_down(arg): the interface of this daemon, ${arg}, was set down. */
void daemon_link_went_down(void *arg);

/* daemon_make_give(d, ret): offer the tunnel to who may take it over, as ${*ret}.  0 or negative errno. */
int daemon_make_give(struct daemon *d, struct ctl_service *ret);

/*
 * daemon_make_taken(d): with d->take: have its sockets and its state, as a trial; the other daemon goes on.
 * 0 or negative errno.
 */
int daemon_make_taken(struct daemon *d);
