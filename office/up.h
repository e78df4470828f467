/*
 * office/up.h - makes this machine what a plan says, and takes it back.
 *
 * Both only do what is not done yet, and a run that was killed is mended by the next.  What fails is
 * told in the log.
 */
#pragma once

#include "office/plan.h"

/*
 * up(p, interface, key): ${key} is the member's private one.  Where packets would go astray nothing
 * more is done; else what fails leaves the rest in force.  0, or negative when something has failed.
 */
int up(const struct plan *p, const char *interface, const uint8_t key[KEY_LEN]);

/* down(interface): what up() made and nothing else is gone; 0, also where there was nothing. */
int down(const char *interface);
