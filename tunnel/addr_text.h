/* tunnel/addr_text.h - an address as people and files write it. */
#pragma once

#include "base/buf.h"
#include "wg/endpoint.h"

/* addr_put(a, ret): append "192.0.2.1:51820", "[2001:db8::1]:51820", "[fe80::1%2]:51820". */
void addr_put(const struct wg_addr *a, struct buf *ret);
