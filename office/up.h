/*
 * office/up.h - makes this machine what a plan says, and takes it back.
 *
 * Both only do what is not done yet, and a run that was killed is mended by the next.  What fails is
 * told in the log.
 */
#pragma once

#include "office/audit.h"
#include "office/plan.h"

/*
 * up_lock(ret): wait until nobody else is at it, from before the bundle is read: who comes last has the
 * newest.  0 and what to close when it is done; negative errno.
 */
int up_lock(int *ret);

/*
 * up(p, interface, key, lock_fd, a): ${key} is the member's private one.  Where packets would go astray nothing
 * more is done; else what fails leaves the rest in force.  Each change is told to ${a}.  ${lock_fd} is of
 * up_lock().  0, or negative when something has failed.
 */
int up(const struct plan *p, const char *interface, const uint8_t key[KEY_LEN], int lock_fd, struct audit *a);

/* down(interface): what up() made and nothing else is gone; 0, also where there was nothing. */
int down(const char *interface);
