/*
 * tunnel/key_file.h - the file or pipe that WG_KEYLOGFILE names: Wireshark's key log of every
 * handshake, from the first on.
 *
 * Each is written before the message that needs it is sent.  Never waits for a reader; what cannot
 * be written is told once, and the tunnel goes on.
 *
 * Locks: the owner of the device.
 */
#pragma once

#include "base/key_log.h"
#include "wg/tap.h"

struct key_file {
	struct wg_tap		 tap;		/* for wg_device_set_tap() */
	struct key_log		 log;		/* fd -1: there is none */
	const char		*path;		/* borrowed */
	struct wg_device	*device;
	const struct wg_tap	*next;		/* hears of events too; borrowed */
	bool			 failed;	/* that was told */
};

/*
 * key_file_open(k, path): before the box is shut; says in the log that keys are written, or why not.
 * ${path} "": there is none, which is no error.
 */
void key_file_open(struct key_file *k, const char *path);
void key_file_close(struct key_file *k);

/*
 * key_file_tap(k, device, next): what hears of keys, and for ${next} of events; ${next} itself where
 * there is no file.
 */
const struct wg_tap *key_file_tap(
	struct key_file *k, struct wg_device *device, const struct wg_tap *next);

/* key_file_identity(k): who this end is, for those handshakes that the other begins. */
void key_file_identity(struct key_file *k);
