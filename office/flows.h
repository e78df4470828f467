/*
 * office/flows.h - the flows that the kernel remembers: one keeps the source address that it began
 * with, whatever rules have come since.
 */
#pragma once

#include "conf/text.h"

/*
 * flows_forget(from, n, lan, translated, ret_n): of the flows from one of the prefixes ${from} to the
 * network ${lan}, have the kernel forget those whose source is translated where ${translated} is false,
 * or is not where it is true: their next packet is judged anew.  Flows to addresses of this machine
 * are left alone.  ${*ret_n}: how many.  0, also in a kernel that remembers none; or negative errno.
 */
int flows_forget(const struct prefix from[], size_t n, const struct prefix *lan, bool translated, size_t *ret_n);
