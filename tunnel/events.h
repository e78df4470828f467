/*
 * tunnel/events.h - what the engine reports, as lines of the log.
 */
#pragma once

#include "wg/device.h"

/* events_log(e): ${e} is an EVENT effect. */
void events_log(const struct wg_effect *e);
