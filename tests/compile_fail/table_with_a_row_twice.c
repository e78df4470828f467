/* A per-member table has two rows for one member. */
/* message: duplicate case value|initialized field overwritten|initializer overrides prior */
#include "base/enum.h"

#define COLOUR_LIST(X) X(COLOUR_RED, 1, "red", "") X(COLOUR_GREEN, 20, "green", "")
ENUM_DECLARE(colour, COLOUR_LIST);
ENUM_DEFINE(colour, COLOUR_LIST);

#ifdef BROKEN
#define AGAIN(X) X(COLOUR_RED, 5)
#else
#define AGAIN(X)
#endif
#define WEIGHT_ROWS(X) X(COLOUR_RED, 1) X(COLOUR_GREEN, 2) AGAIN(X)
ENUM_TABLE(int, colour_weight, colour, WEIGHT_ROWS);
