/*
 * office/stay.h - ginnel up --stay: what the bundle says is held in force until a signal ends it.
 *
 * Hears when the kernel's routes, rules, addresses, links or filters are changed, has bring_up() mend
 * what differs, and leaves everything up when it ends.
 */
#pragma once

#include "office/bring_up.h"

/*
 * stay_run(b, clock_wait_s): bring it up and stay.  0: SIGTERM, SIGINT or stay_end() has ended it;
 * -ENOKEY: bundle or key are missing or wrong, and to try again is of no use; other negative errno.  All after a
 * line of the log.
 */
int stay_run(struct bring_up *b, unsigned clock_wait_s);

/* stay_is_to_end(): a signal has come that ends who stays: no longer wait for others.  Of who does not stay: false. */
bool stay_is_to_end(void);

/* stay_end(interface): end who stays for this interface and wait until it has gone; 0, also where nobody does. */
int stay_end(const char *interface);
