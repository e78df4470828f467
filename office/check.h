/*
 * office/check.h - what cannot be, or will not go well, in a settled office.
 *
 * Pure: asks no network.
 */
#pragma once

#include "office/office.h"

/*
 * check(o, name, errors, warnings):
 * One line each, "NAME:LINE:COLUMN: what is wrong", in the order of the file; where two members
 * are at odds the later one's place, with the line of the other in the text.  Errors, because no
 * plan can be made: not exactly one hub; two LANs, addresses or keys that overlap; a LAN over the
 * office's own addresses, its aliases or the hub's address; a host outside its LAN, or at the
 * node's or gateway's address, or twice; an address that the network itself or broadcast has.
 * Warnings: ranges that many others use (192.168.0-2.0/24 at home, 172.17/16 Docker, 100.64/10
 * carriers, 198.18/15 proxies), members without a key, MTU below 1280.
 * True: no errors.
 */
bool check(const struct office *o, const char *name, struct buf *errors, struct buf *warnings);
