/*
 * tunnel/local_address.h - which of our addresses the kernel would send from.
 */
#pragma once

#include "wg/endpoint.h"

/* local_address(to, fwmark, ret): as in struct wg_endpoint; zero where nothing leads there.  Sends nothing. */
void local_address(const struct wg_addr *to, uint32_t fwmark, uint8_t ret[16]);
