/* A switch over an enumeration misses a member, though it has a default. */
/* message: enumeration value .COLOUR_GREEN. not (explicitly )?handled in switch */
#include "base/enum.h"

#define COLOUR_LIST(X) X(COLOUR_RED, 1, "red", "") X(COLOUR_GREEN, 2, "green", "")
ENUM_DECLARE(colour, COLOUR_LIST);

int colour_weight(enum colour c);
int colour_weight(enum colour c)
{
	switch (c) {
	case COLOUR_RED:
		return 1;
#ifndef BROKEN
	case COLOUR_GREEN:
		return 2;
#endif
	default:
		return 0;
	}
}
