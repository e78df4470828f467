/* Two members of one enumeration have the same value. */
/* message: duplicate case value */
#include "base/enum.h"

#ifdef BROKEN
#define BLUE 2
#else
#define BLUE 3
#endif
#define COLOUR_LIST(X)                                                                             \
	X(COLOUR_RED, 1, "red", "") X(COLOUR_GREEN, 2, "green", "") X(COLOUR_BLUE, BLUE, "blue", "")
ENUM_DECLARE(colour, COLOUR_LIST);
ENUM_DEFINE(colour, COLOUR_LIST);
