/*
 * office/export.h - a member's part in the words of programs that are not ours.
 *
 * Pure.  No private key is in any of them but a telephone's, if the caller brings it: it is named by
 * the file where the member has it.  Pre-shared keys are in all that name peers, if the office has them.
 */
#pragma once

#include "office/plan.h"

/*
 * export_wg_quick(p, interface, ret, why): for wg-quick(8).  ${interface} names the file of the key;
 * the tunnel's own name is that of the file in which the text is kept.  A telephone's is
 * export_phone()'s, without a key.  0; -EINVAL with a sentence in ${why}.
 */
int export_wg_quick(const struct plan *p, const char *interface, struct buf *ret, struct buf *why);

/*
 * export_phone(p, key, ret): the same format without commands, and short: what applications set by
 * themselves is left out.  ${key}: the private one; NULL: a line says where it goes.
 */
void export_phone(const struct plan *p, const uint8_t key[KEY_LEN], struct buf *ret);

/*
 * export_managed(p, why): whether network managers can do what the member needs: 0; -EINVAL with a sentence
 * in ${why}.  export_put_besides(): what they do not do for who passes packets on, as comments.
 */
int export_managed(const struct plan *p, struct buf *why);
void export_put_besides(const struct plan *p, const char *interface, struct buf *ret);

/*
 * export_networkd_netdev(p, interface, ret, why), export_networkd_network(p, interface, ret): for
 * systemd-networkd, from version 250 on.  As export_wg_quick().
 */
int export_networkd_netdev(const struct plan *p, const char *interface, struct buf *ret, struct buf *why);
int export_networkd_network(const struct plan *p, const char *interface, struct buf *ret);

/* export_nm(p, interface, ret, why): a keyfile for NetworkManager, without its private key.  As export_wg_quick(). */
int export_nm(const struct plan *p, const char *interface, struct buf *ret, struct buf *why);

/* export_hosts(o, ret): every member's address and name, as hosts(5) has them. */
void export_hosts(const struct office *o, struct buf *ret);

/* For whom a gateway's routes are written. */
#define GATEWAY_LIST(X)                                                                            \
	X(GATEWAY_LINUX, 1, "linux", "a Linux machine, with ip(8)")                                \
	X(GATEWAY_OPENWRT, 2, "openwrt", "OpenWrt, with uci")                                      \
	X(GATEWAY_MIKROTIK, 3, "mikrotik", "RouterOS")                                             \
	X(GATEWAY_HUAWEI, 4, "huawei", "VRP and Comware of Huawei and H3C")                        \
	X(GATEWAY_FORM, 5, "form", "what goes into the form of a router's web page")
ENUM_DECLARE(gateway, GATEWAY_LIST);

/*
 * export_gateway(p, kind, ret, why): what the gateway of the node's LAN must know.  0; -EINVAL with a
 * sentence in ${why}.
 */
int export_gateway(const struct plan *p, enum gateway kind, struct buf *ret, struct buf *why);
