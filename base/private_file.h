/*
 * base/private_file.h - whether what is written into a file stays with its owner.
 */
#pragma once

#include "base/util.h"

#include <sys/stat.h>

/* private_file_is_ours(uid): that user is who runs this, or who called sudo for it. */
bool private_file_is_ours(uid_t uid);

/*
 * private_file_objection(st): NULL, or why others could read what is secret there, as the rest of a
 * sentence that begins with "it".
 */
const char *private_file_objection(const struct stat *st);
