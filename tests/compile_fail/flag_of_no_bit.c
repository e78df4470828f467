/* A flag is zero (an alias may be). */
/* message: PERM_NONE must be exactly one bit */
#include "base/enum.h"

#ifdef BROKEN
#define NONE 0
#else
#define NONE 4
#endif
#define PERM_LIST(X) X(PERM_READ, 1, "read", "") X(PERM_NONE, NONE, "none", "")
FLAGS_DECLARE(perm, PERM_LIST);
FLAGS_DEFINE(perm, PERM_LIST);
