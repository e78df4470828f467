/* A per-member table lacks a row. */
/* message: enumeration value .COLOUR_GREEN. not (explicitly )?handled in switch */
#include "base/enum.h"

#define COLOUR_LIST(X)                                                                             \
	X(COLOUR_RED, 1, "red", "") X(COLOUR_GREEN, 20, "green", "") X(COLOUR_BLUE, 3, "blue", "")
ENUM_DECLARE(colour, COLOUR_LIST);
ENUM_DEFINE(colour, COLOUR_LIST);

struct rgb {
	unsigned char r, g, b;
};
#ifdef BROKEN
#define GREEN(X)
#else
#define GREEN(X) X(COLOUR_GREEN, {0, 255, 0})
#endif
#define RGB_ROWS(X) X(COLOUR_RED, {255, 0, 0}) GREEN(X) X(COLOUR_BLUE, {0, 0, 255})
ENUM_TABLE(struct rgb, colour_rgb, colour, RGB_ROWS);
