/* A flag has more than one bit. */
/* message: PERM_WRITE must be exactly one bit */
#include "base/enum.h"

#ifdef BROKEN
#define WRITE 6
#else
#define WRITE 2
#endif
#define PERM_LIST(X) X(PERM_READ, 1, "read", "") X(PERM_WRITE, WRITE, "write", "")
FLAGS_DECLARE(perm, PERM_LIST);
FLAGS_DEFINE(perm, PERM_LIST);
