/*
 * tunnel/steering.h - which queue of a TUN device a packet waits in: its flow alone decides.
 *
 * By itself the kernel moves a flow to the queue by which its answers come in, while packets of it
 * still wait in another; two workers then send them in any order.  A program of a few instructions,
 * loaded into the kernel, hashes addresses and ports instead.  Fragments and other protocols than
 * TCP and UDP go by their addresses.
 */
#pragma once

#include "base/util.h"

/*
 * steering_attach(fd): for the device of this TUN descriptor.  0; -EPERM without CAP_BPF; -EINVAL and
 * others where the kernel has no such thing.  Knows no number of queues: the kernel takes the
 * remainder.
 */
int steering_attach(int fd);
