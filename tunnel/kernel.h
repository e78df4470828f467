/*
 * tunnel/kernel.h - what kernels have and Debian 12's headers lack, or have under names that two of
 * them define.
 */
#pragma once

#include <linux/if_tun.h>
#include <sys/ioctl.h>

/* The network namespace of a TUN device, and of a socket, as a descriptor. */
#ifndef TUNGETDEVNETNS
#define TUNGETDEVNETNS _IO('T', 227)
#endif
#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif

/* UDP segmentation of TUN devices: Linux 6.2. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
