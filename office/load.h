/*
 * office/load.h - the office's file and its lock, as they lie on the administrator's disk.
 *
 * office.net has its lock in office.lock beside it, and pre-shared keys in office.psk.  What is wrong is printed on standard error.
 */
#pragma once

#include "office/office.h"

/* load_office(path, ret): the file, settled with the lock, and checked.  0 or negative errno. */
int load_office(const char *path, struct office **ret);

/*
 * load_with_lock(path, ret, ret_lock, warnings): the same, the lock too, NULL if there is none yet, and
 * check()'s warnings.
 */
int load_with_lock(const char *path, struct office **ret, struct office **ret_lock, struct buf *warnings);

/*
 * load_member(o, name): one of any kind; NULL after a line that says so, with the nearest name of those
 * on whose machines something runs.
 */
const struct member *load_member(const struct office *o, const char *name);

/* load_lock_path(path, ret): 0 or -ENAMETOOLONG. */
#define LOAD_PATH_MAX 4096
int load_lock_path(const char *path, char ret[LOAD_PATH_MAX]);

/*
 * load_hold(path, ret): for who writes the lock: from before it is read until ${*ret} is closed nobody else
 * does.  Where somebody else holds it, that is said and waited for.  0 or negative errno.
 */
int load_hold(const char *path, int *ret);

/*
 * load_pin(path, o): held: write the lock beside the file if ${o} says something else than it, and say so.
 * Through a symbolic link, and with the mode that it has; a new one gets that of the file.  0 or negative errno.
 */
int load_pin(const char *path, const struct office *o);

/* load_given(path, m, number): hold, and note in the lock that this was exported for ${m}.  What fails is said. */
void load_given(const char *path, const struct member *m, uint64_t number);

/*
 * load_with_psks(path, ret): held: as load_office(), for what leaves this machine.  Where the office has
 * pre-shared keys, they are read from the file beside the lock; those that are missing are made, those
 * of who is gone forgotten, that file is written, then the lock is; and this process is protect()ed.
 */
int load_with_psks(const char *path, struct office **ret);
