/*
 * wg/retain.h - the handshake behind a session, kept on request, so that who begins to listen later
 * can still read it.
 *
 * Whoever gets hold of this memory reads the session, and with it what the wire carried since its
 * handshake: the forward secrecy of the last three minutes is given up.  Nothing is kept unless
 * wg_device_config.retain is set.  All of it is wiped with the session.
 */
#pragma once

#include "wg/endpoint.h"
#include "wg/messages.h"

struct wg_tap;
struct wg_peer;
struct x25519;

struct wg_retained {
	bool			 initiator;
	struct wg_endpoint	 at;		/* the other end */
	uint64_t		 initiation_ns, response_ns;	/* CLOCK_REALTIME */
	uint8_t			 local_static[WG_KEY_LEN];
	uint8_t			 ephemeral[WG_KEY_LEN];
	uint8_t			 preshared[WG_KEY_LEN];
	struct wg_initiation	 initiation;	/* whole, with its MACs */
	struct wg_response	 response;
};

/* retain_new(p, ephemeral): with ${p}'s keys as they are now; NULL: nothing is to be kept, or no memory. */
struct wg_retained *retain_new(const struct wg_peer *p, const struct x25519 *ephemeral);

/* Wipes.  NULL is allowed. */
void retain_free(struct wg_retained *r);

/* retain_show(r, p, to): ${to} hears of it, as when it happened. */
void retain_show(const struct wg_retained *r, struct wg_peer *p, const struct wg_tap *to);
