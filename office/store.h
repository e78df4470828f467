/*
 * office/store.h - whole files: read, and replaced so that either the old one or the new one is there.
 */
#pragma once

#include "base/buf.h"

#include <sys/types.h>

/* store_read(path, ret): append what the file has, "-": standard input.  0 or negative errno. */
int store_read(const char *path, struct buf *ret);

/* store_read_secret(path, ret): the same of a file that only its owner may read; else -EPERM. */
int store_read_secret(const char *path, struct buf *ret);

/*
 * store_lock(path, wait, ret): of those who lock this file only one at a time, until ${*ret} is closed.  0, also
 * where the filesystem has no locks; -EWOULDBLOCK without ${wait}; other negative errno.
 */
int store_lock(const char *path, bool wait, int *ret);

/*
 * store_write(path, mode, text): make it this file's contents, on disk when it returns; a file that has
 * them already is left alone.  The directory is made (0755) where only it is missing.
 * 1: it was written; 0: nothing was to be done; negative errno with the old file in place.
 */
int store_write(const char *path, mode_t mode, const struct buf *text);

/* store_make(path, mode, text): as store_write(), and -EEXIST where there is a file already. */
int store_make(const char *path, mode_t mode, const struct buf *text);

/* store_rename(from, to): both in one directory; on disk when it returns.  0, or negative errno
 * with both as they were. */
int store_rename(const char *from, const char *to);

/* store_remove(path): 0, also where there is none; or negative errno. */
int store_remove(const char *path);
