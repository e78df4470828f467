/*
 * office/learn.h - what a member finds out about its own place, and keeps: the return mode of a node
 * whose line says auto, the MTU of the path to the hub, at which of its ports that answers.
 */
#pragma once

#include "office/office.h"

#define LEARN_PATH_MAX 256
#define LEARN_HUB_MS 10000	/* two handshakes are tried in that time */

/* learn_recall(interface, o): into the bundle's office, what was found before. */
void learn_recall(const char *interface, struct office *o);

/*
 * learn_mode(m, interface, target): ask the gateway of the node ${m} what it does with packets for
 * ${target}, an address of the office that is none of this LAN's; keep the answer and set it in ${m}.
 * 0, also where it is the same as before; negative errno after a line of the log, with ${m} as it was.
 */
int learn_mode(struct member *m, const char *interface, const struct prefix *target);

/*
 * learn_hub(o, m, interface, key): see to it that the hub, which has a key, answers ${m}, whose tunnel is up, and where it
 * does not within LEARN_HUB_MS, try the others of its ports; keep the one that answers and set it in
 * ${m}.  Whether it answers; if it does not, the tunnel is as it was.
 */
bool learn_hub(const struct office *o, struct member *m, const char *interface, const uint8_t key[KEY_LEN]);

/*
 * learn_mtu(o, m, interface): measure how large the packets are that get through the tunnel to the hub
 * and back, keep it and set it in ${m}.  The interface's MTU may be another one afterwards, until up().
 * 0, also where it is the same as before; negative errno after a line of the log, with ${m} as it was.
 */
int learn_mtu(const struct office *o, struct member *m, const char *interface);
