/* A per-member table has a row for a member of another type. */
/* message: no member named .OTHER_ONE.|not in enumerated type|index in init|excess elements */
#include "base/enum.h"

#define OTHER_LIST(X) X(OTHER_ONE, 7, "one", "")
ENUM_DECLARE(other, OTHER_LIST);
#define COLOUR_LIST(X) X(COLOUR_RED, 1, "red", "") X(COLOUR_GREEN, 20, "green", "")
ENUM_DECLARE(colour, COLOUR_LIST);
ENUM_DEFINE(colour, COLOUR_LIST);

#ifdef BROKEN
#define FOREIGN(X) X(OTHER_ONE, 5)
#else
#define FOREIGN(X)
#endif
#define WEIGHT_ROWS(X) X(COLOUR_RED, 1) X(COLOUR_GREEN, 2) FOREIGN(X)
ENUM_TABLE(int, colour_weight, colour, WEIGHT_ROWS);
