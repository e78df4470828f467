#include "wg/tap.h"

ENUM_DEFINE(wg_drop, WG_DROP_LIST);
ENUM_DEFINE(wg_message, WG_MESSAGE_LIST);
ENUM_DEFINE(wg_event, WG_EVENT_LIST);
ENUM_DEFINE(wg_tap_point, WG_TAP_POINT_LIST);

#define FITS_(id, value, name, doc) _Static_assert((value) < WG_DROP_COUNT, "counters are arrays by reason");
WG_DROP_LIST(FITS_)
#undef FITS_
#define FITS_(id, value, name, doc) _Static_assert((value) < WG_EVENT_COUNT, "and by event");
WG_EVENT_LIST(FITS_)
