/* An alias of flags contains a bit that no member stands for. */
/* message: PERM_ALL must be a set of members */
#include "base/enum.h"

#ifdef BROKEN
#define ALL 7
#else
#define ALL 3
#endif
#define PERM_LIST(X) X(PERM_READ, 1, "read", "") X(PERM_WRITE, 2, "write", "")
#define PERM_ALIASES(X) X(PERM_ALL, ALL, "all")
FLAGS_DECLARE_ALIASES(perm, PERM_LIST, PERM_ALIASES);
FLAGS_DEFINE_ALIASES(perm, PERM_LIST, PERM_ALIASES);
