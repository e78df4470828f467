/* tunnel/addr_text.h - an address as people and files write it. */
#pragma once

#include "base/buf.h"
#include "wg/endpoint.h"

/* addr_put(a, ret): append "192.0.2.1:51820", "[2001:db8::1]:51820", "[fe80::1%2]:51820". */
void addr_put(const struct wg_addr *a, struct buf *ret);

/*
 * ipv4_parse(text, len, ret), ipv6_parse(text, len, ret): what inet_pton() accepts, and nothing else,
 * at a fraction of its cost and without a zero byte behind it: a request may hold 100,000.  On false
 * ${ret} holds anything.
 */
bool ipv4_parse(const char *text, size_t len, uint8_t ret[4]);
bool ipv6_parse(const char *text, size_t len, uint8_t ret[16]);
