#include "wg/device.h"

ENUM_DEFINE(wg_drop, WG_DROP_LIST);
ENUM_DEFINE(wg_message, WG_MESSAGE_LIST);
ENUM_DEFINE(wg_effect_kind, WG_EFFECT_LIST);
ENUM_DEFINE(wg_event, WG_EVENT_LIST);

#define COUNT_(id, value, name, doc) +1
_Static_assert(WG_DROP_COUNT == 0 WG_DROP_LIST(COUNT_), "arrays of counters hold every reason");
