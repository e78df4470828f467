/* An alias stands for a constant that is no member of its type, though its value is that of one. */
/* message: no member named .OTHER_ONE. */
#include "base/enum.h"

#define OTHER_LIST(X) X(OTHER_ONE, 1, "one", "")
ENUM_DECLARE(other, OTHER_LIST);

#ifdef BROKEN
#define COLOUR_ALIASES(X) X(COLOUR_CRIMSON, OTHER_ONE, "crimson")
#else
#define COLOUR_ALIASES(X) X(COLOUR_CRIMSON, COLOUR_RED, "crimson")
#endif
#define COLOUR_LIST(X) X(COLOUR_RED, 1, "red", "") X(COLOUR_GREEN, 2, "green", "")
ENUM_DECLARE_ALIASES(colour, COLOUR_LIST, COLOUR_ALIASES);
ENUM_DEFINE_ALIASES(colour, COLOUR_LIST, COLOUR_ALIASES);
