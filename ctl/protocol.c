#include "ctl/protocol.h"

ENUM_DEFINE(ctl_message, CTL_MESSAGE_LIST);
ENUM_DEFINE(ctl_item, CTL_ITEM_LIST);
