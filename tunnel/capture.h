/*
 * tunnel/capture.h - who listens to the tunnel over the control channel: packets, events and keys
 * into the ring that each brought (ctl/capture.h, ctl/ring.h).
 *
 * Never waits for a listener and copies nothing that does not fit; with no listener packets know
 * nothing of this.  A connection is a listener until it ends.
 *
 * Locks: the control thread's; workers come in by the tap.
 */
#pragma once

#include "tunnel/ctl_server.h"
#include "wg/tap.h"

#define CAPTURE_LISTENERS_MAX 8

struct capture_host {
	struct loop		*loop;
	struct wg_device	*device;
	const struct wg_tap	*first;		/* hears of events and keys, whoever else does; borrowed */
	unsigned		 workers;
	/* quiet(arg, true): the workers are offline until quiet(arg, false). */
	void			(*quiet)(void *arg, bool on);
	struct wg_now		(*now)(void *arg);
	/* The engine has something to do now. */
	void			(*due)(void *arg);
	void			*arg;
};

struct capture;

/* capture_new(host, ret): from now on the device's tap is set here.  0 or -ENOMEM. */
int capture_new(const struct capture_host *host, struct capture **ret);

/* capture_free(c): the workers are offline for good.  NULL is allowed. */
void capture_free(struct capture *c);

/* capture_socket(c, port, fwmark): what the UDP sockets have. */
void capture_socket(struct capture *c, uint16_t port, uint32_t fwmark);

/* capture_service(c, ret): the row for the server. */
void capture_service(struct capture *c, struct ctl_service *ret);
