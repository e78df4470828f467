/*
 * conf/kernel.h - the kernel's own WireGuard, which is asked with the words of the configuration socket.
 */
#pragma once

#include "base/buf.h"

/*
 * kernel_ask(name, request, len, answer): "get=1" or "set=1", as a daemon's socket takes them; append
 * the answer.  0; -ENODEV: the kernel's WireGuard has no such interface; -EPERM; other negative errno.
 */
int kernel_ask(const char *name, const uint8_t *request, size_t len, struct buf *answer);
