/*
 * office/engine.h - what carries a member's tunnel, ginnel-wg or the kernel's WireGuard: started, told its
 * peers, ended.
 *
 * What fails is told in the log.
 */
#pragma once

#include "conf/running.h"
#include "office/made.h"
#include "office/plan.h"

#define ENGINE_DIR "/run/ginnel"
#define ENGINE_STATE_DIR "/var/lib/ginnel"

/*
 * engine_start(interface, engine, key, lock_fd, m, a): see to it that the interface is served: by who does
 * already, if that is of the kind of ${engine} and has no other key, or else by a new ginnel-wg of the
 * directory of this program, or a new interface of the kernel's.  That is noted in ${m}, and makes room
 * for one of the other kind.  Until a daemon serves, ${lock_fd} is held, also if we are killed.
 * 0 or negative errno.
 */
int engine_start(const char *interface, enum engine engine, const uint8_t key[KEY_LEN], int lock_fd, struct made *m,
	struct audit *a);

/*
 * engine_renew(interface, lock_fd): where engine_start() has started the daemon and its program was replaced since, the new
 * one goes on in its place, with all sessions.  Where that cannot be the old one goes on.  The log of the new one is as of
 * this program's environment.
 */
void engine_renew(const char *interface, int lock_fd);

/*
 * engine_configure(p, interface, key, a): tell it what differs from the plan.  For a peer that has no
 * endpoint the one is taken that was remembered; the name of one that is silent is looked up again, unless
 * this is a repair.
 */
int engine_configure(const struct plan *p, const char *interface, const uint8_t key[KEY_LEN], struct audit *a);

/* engine_set_key(interface, key): the private one, and nothing else.  All sessions are made anew, also with the same key. */
int engine_set_key(const char *interface, const uint8_t key[KEY_LEN]);

/*
 * engine_call(p, interface): speak to each peer whose endpoint is known and that is not spoken to anyway.
 * Where we have no session any more that begins a handshake; who has one still would not notice soon.
 */
void engine_call(const struct plan *p, const char *interface);

/*
 * engine_path(interface, ret): of the file below.  0 or -ENAMETOOLONG.
 * engine_remember(interface): keep where peers answered, in ENGINE_STATE_DIR/INTERFACE.endpoints.  Those
 * that have not are remembered as before.
 */
int engine_path(const char *interface, char ret[PATH_MAX]);
void engine_remember(const char *interface);

/*
 * engine_stop(interface, m): end what engine_start() started, and wait until it is gone;
 * otherwise, of one that has this machine's key, take its peers and the key.
 */
int engine_stop(const char *interface, const struct made *m);
