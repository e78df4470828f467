/*
 * office/bundle.h - a member's part of the office, as it came and as it is kept.
 *
 * What fails is told in the log.
 */
#pragma once

#include "office/office.h"

#define BUNDLE_PATH_MAX 256

/* bundle_path(interface, ret): where the one of this interface is kept. */
int bundle_path(const char *interface, char ret[BUNDLE_PATH_MAX]);

/*
 * bundle_load(from, stored, text, ret): the bundle in the file ${from}, "-": on standard input;
 * ${stored} is where one is kept.  What was read is appended to ${text}.  0 or negative errno.
 */
int bundle_load(const char *from, const char *stored, struct buf *text, struct office **ret);

/* bundle_self(o): whose it is, if ginnel up can be done there; or NULL. */
const struct member *bundle_self(const struct office *o);
