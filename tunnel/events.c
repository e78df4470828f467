#include "tunnel/events.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <stdio.h>

#define PEER_TEXT 12
#define ENDPOINT_TEXT (INET6_ADDRSTRLEN + 24)

/* The first and last characters of the public key, as wg(8) prints it: enough to find it. */
static void peer_text(struct wg_peer *p, char ret[PEER_TEXT])
{
	unsigned char base64[4 * ((WG_KEY_LEN + 2) / 3) + 1];

	if (!p) {
		snprintf(ret, PEER_TEXT, "-");
		return;
	}
	EVP_EncodeBlock(base64, wg_peer_public_key(p), WG_KEY_LEN);
	snprintf(ret, PEER_TEXT, "%.4s...%.3s", (char *)base64, (char *)base64 + 40);
}

static void endpoint_text(const struct wg_addr *a, char ret[ENDPOINT_TEXT])
{
	char address[INET6_ADDRSTRLEN];

	if (!a || !a->family) {
		snprintf(ret, ENDPOINT_TEXT, "-");
		return;
	}
	inet_ntop(a->family, a->bytes, address, sizeof(address));
	snprintf(ret, ENDPOINT_TEXT, a->family == AF_INET6 ? "[%s]:%u" : "%s:%u", address, a->port);
}

static void write_event(void *arg, const struct wg_tap_event *e)
{
	char peer[PEER_TEXT], endpoint[ENDPOINT_TEXT];

	if (log_level_now() < LOG_LEVEL_VERBOSE)
		return;
	peer_text(e->peer, peer);
	endpoint_text(e->at ? &e->at->dst : NULL, endpoint);
	if (e->event == WG_EVENT_REFUSED)
		/* A stranger can cause it. */
		log_limited(LOG_LEVEL_VERBOSE, "wg: refused reason=%s peer=%s endpoint=%s",
			enum_name(&wg_drop_enum, e->drop), peer, endpoint);
	else if (e->event == WG_EVENT_COOKIE_SENT)
		log_limited(LOG_LEVEL_VERBOSE, "wg: under load, cookie sent endpoint=%s", endpoint);
	else
		log_verbose("wg: %s peer=%s endpoint=%s", enum_name(&wg_event_enum, e->event), peer,
			endpoint);
}

const struct wg_tap events_tap = {.event = write_event};
