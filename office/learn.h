/*
 * office/learn.h - what a member finds out about its own place, and keeps: the return mode of a node
 * whose line says auto.
 */
#pragma once

#include "office/office.h"

#define LEARN_PATH_MAX 256

/* learn_recall(interface, o): into the bundle's office, what was found before. */
void learn_recall(const char *interface, struct office *o);

/*
 * learn_mode(m, interface, target): ask the gateway of the node ${m} what it does with packets for
 * ${target}, an address of the office that is none of this LAN's; keep the answer and set it in ${m}.
 * 0, also where it is the same as before; negative errno after a line of the log, with ${m} as it was.
 */
int learn_mode(struct member *m, const char *interface, const struct prefix *target);
