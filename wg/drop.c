#include "wg/device.h"

ENUM_DEFINE(wg_drop, WG_DROP_LIST);
ENUM_DEFINE(wg_message, WG_MESSAGE_LIST);
ENUM_DEFINE(wg_effect_kind, WG_EFFECT_LIST);
ENUM_DEFINE(wg_event, WG_EVENT_LIST);

#define FITS_(id, value, name, doc) _Static_assert((value) < WG_DROP_COUNT, "counters are arrays by reason");
WG_DROP_LIST(FITS_)
