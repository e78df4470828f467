/*
 * tests/unit/tunnel/fake_device.h - a device that keeps what it is told and writes down every call that changes it.
 *
 * Link it instead of wg/.  It does no cryptography: its own public key is whatever the test says.
 */
#pragma once

#include "base/buf.h"
#include "wg/device.h"

struct fake_prefix {
	struct wg_prefix	 p;
	struct fake_prefix	*next;
};

struct wg_peer {
	struct wg_device	*device;
	struct wg_peer		*next;
	struct wg_peer_info	 info;
	struct fake_prefix	*prefixes;
};

struct wg_device {
	uint8_t		 private_key[WG_KEY_LEN];
	bool		 has_key;
	uint8_t		 own_public[WG_KEY_LEN];	/* refused as a peer */
	bool		 has_own_public;
	/* set_private_key() removes the peer of this key */
	uint8_t		 next_own_public[WG_KEY_LEN];
	struct wg_peer	*peers;
	struct buf	 calls;				/* "add 01\nendpoint 01 192.0.2.1:5\n..." keys by their first byte */
	int		 fail_add, fail_allow, fail_key;	/* returned instead of working, when negative */
	uint64_t	 configured_boot_ns;
	uint64_t moves; /* of allowed IPs, without any request */
};

void fake_device_init(struct wg_device *d);
void fake_device_done(struct wg_device *d);

/* The calls since the last time, as one string; valid until the next call. */
const char *fake_device_calls(struct wg_device *d);
