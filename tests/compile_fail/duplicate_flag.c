/* Two flags are the same bit. */
/* message: duplicate case value */
#include "base/enum.h"

#ifdef BROKEN
#define WRITE (1 << 0)
#else
#define WRITE (1 << 1)
#endif
#define PERM_LIST(X) X(PERM_READ, 1 << 0, "read", "") X(PERM_WRITE, WRITE, "write", "")
FLAGS_DECLARE(perm, PERM_LIST);
FLAGS_DEFINE(perm, PERM_LIST);
